
-- Extend the lease of the current attempt.
-- ARGV: 3 job, 4 token, 5 lease µs, 6 progress, 7 device ('' to keep it)
-- Returns 0 | 1 if the job is to be cancelled | -1 if the token is stale

local job = load(ARGV[3])
if not is_current(job, ARGV[4]) then return -1 end
redis.call('ZADD', P .. ':leases', int(NOW + tonumber(ARGV[5])), job.id)
redis.call('HSET', P .. ':job:' .. job.id, 'progress', ARGV[6])
if ARGV[7] ~= '' then redis.call('HSET', P .. ':job:' .. job.id, 'device', ARGV[7]) end
return job.cancel == '1' and 1 or 0
