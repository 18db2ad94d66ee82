
-- Record the current attempt's uploads, so that the process that ends the attempt can remove them.
-- ARGV: 3 job, 4 token, 5 uploads (JSON)
-- Returns 1 | -1 if the token is stale

local job = load(ARGV[3])
if not is_current(job, ARGV[4]) then return -1 end
redis.call('HSET', P .. ':job:' .. job.id, 'uploads', ARGV[5])
return 1
