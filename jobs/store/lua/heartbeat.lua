
-- Extend the lease of the current attempt.
-- ARGV: 3 job, 4 token, 5 lease µs, 6 progress, 7 device ('' to keep it), 8 stage, 9 µs until the expected end ('' if
--       it is not known)
-- Returns 0 | 1 if the job is to be cancelled | -1 if the token is stale

local job = load(ARGV[3])
if not is_current(job, ARGV[4]) then return -1 end
local key = P .. ':job:' .. job.id
redis.call('ZADD', P .. ':leases', int(NOW + tonumber(ARGV[5])), job.id)
local stage = redis.call('HGET', key, 'stage') or ''
redis.call('HSET', key, 'progress', ARGV[6], 'stage', ARGV[8])
if ARGV[7] ~= '' then redis.call('HSET', key, 'device', ARGV[7]) end
if ARGV[9] ~= '' then redis.call('HSET', key, 'ends', int(NOW + tonumber(ARGV[9]))) end
if stage ~= ARGV[8] and ARGV[8] ~= '' then note(job.id, 'stage', ARGV[8]) end
if job.progress ~= ARGV[6] or stage ~= ARGV[8] then publish_job(job, ARGV[6], ARGV[8]) end
return job.cancel == '1' and 1 or 0
