
-- Return a delivery slot of a host and give it to the delivery that has waited longest.
-- ARGV: 3 host, 4 delivery, 5 slots of the host (0: pass it on to none), 6 how long a slot lasts, µs
-- Returns the waiting delivery that now has the slot, or ''

local sending, queued = P .. ':host:' .. ARGV[3] .. ':sending', P .. ':host:' .. ARGV[3] .. ':queued'
local ttl = tonumber(ARGV[6])
local answer = ''
redis.call('ZREMRANGEBYSCORE', sending, '-inf', int(NOW))  -- slots of dead workers
redis.call('ZREM', sending, ARGV[4])
if redis.call('ZCARD', sending) < tonumber(ARGV[5]) then
  local first = redis.call('ZPOPMIN', queued)
  if first[1] then
    redis.call('ZADD', sending, int(NOW + ttl), first[1])
    answer = first[1]
  end
end
redis.call('PEXPIRE', sending, int(ttl / 500))
redis.call('PEXPIRE', queued, int(ttl / 500))
return answer
