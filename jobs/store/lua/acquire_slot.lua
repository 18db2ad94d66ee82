
-- Take a delivery slot of a host, or join its waiting list.
-- ARGV: 3 host, 4 delivery, 5 slots of the host, 6 how long a slot and a place in the list last, µs
-- Returns 1 if acquired | 0 if waiting | -1 if another worker sends the delivery

local sending, queued = P .. ':host:' .. ARGV[3] .. ':sending', P .. ':host:' .. ARGV[3] .. ':queued'
local ttl = tonumber(ARGV[6])
local answer = 0
redis.call('ZREMRANGEBYSCORE', sending, '-inf', int(NOW))  -- slots of dead workers
if redis.call('ZSCORE', sending, ARGV[4]) then
  answer = -1
elseif redis.call('ZCARD', sending) < tonumber(ARGV[5]) then
  redis.call('ZADD', sending, int(NOW + ttl), ARGV[4])
  redis.call('ZREM', queued, ARGV[4])
  answer = 1
else
  redis.call('ZADD', queued, 'NX', int(NOW), ARGV[4])
end
redis.call('PEXPIRE', sending, int(ttl / 500))
redis.call('PEXPIRE', queued, int(ttl / 500))
return answer
