-- A sign of life of the attempt that holds a job.
-- ARGV: 3 job, 4 token, 5 lease µs, 6 progress, 7 device ('' to leave it)
-- Returns 0 go on | 1 cancel is asked | -1 the lease is lost

local job = load(ARGV[3])
if not holds(job, ARGV[4]) then return -1 end
redis.call('ZADD', P .. ':leases', int(NOW + tonumber(ARGV[5])), job.id)
redis.call('HSET', P .. ':job:' .. job.id, 'progress', ARGV[6])
if ARGV[7] ~= '' then redis.call('HSET', P .. ':job:' .. job.id, 'device', ARGV[7]) end
return job.cancel == '1' and 1 or 0
