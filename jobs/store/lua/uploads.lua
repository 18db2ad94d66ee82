-- Remember what an attempt has staged, so that whoever ends the attempt can take it away.
-- ARGV: 3 job, 4 token, 5 uploads (JSON)
-- Returns 1 | -1 the lease is lost

local job = load(ARGV[3])
if not holds(job, ARGV[4]) then return -1 end
redis.call('HSET', P .. ':job:' .. job.id, 'uploads', ARGV[5])
return 1
