
-- Give a running job whose lease has expired to a sweeper. Its new token makes every write of the old attempt stale.
-- ARGV: 3 job, 4 sweeper, 5 lease µs
-- Returns the record, or nothing if there is nothing to reclaim

local job = load(ARGV[3])
if not job or job.state ~= 'Running' then
  redis.call('ZREM', P .. ':leases', ARGV[3])
  return nil
end
if tonumber(redis.call('ZSCORE', P .. ':leases', ARGV[3]) or 0) > NOW then return nil end
redis.call('HSET', P .. ':job:' .. job.id, 'token', next_token(job), 'worker', ARGV[4])
redis.call('ZADD', P .. ':leases', int(NOW + tonumber(ARGV[5])), job.id)
note(job.id, 'reclaimed', ARGV[4])
redis.call('HINCRBY', P .. ':counts', 'leases_lost', 1)
return view(job.id)
