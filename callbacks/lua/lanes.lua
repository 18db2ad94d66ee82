-- The lane of one host: who calls it now, and who waits for a place.
-- KEYS: 1 busy     zset  delivery id by the end of its place, ms
--       2 waiting  zset  delivery id by the time it came, ms
-- ARGV: 1 enter or leave, 2 delivery, 3 places, 4 how long a place or a wait is kept, ms
-- enter returns 1: has a place | 0: waits | -1: is being sent already
-- leave returns the delivery that takes the place over, or ''

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local busy, waiting, id, places, kept = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local answer

redis.call('ZREMRANGEBYSCORE', busy, '-inf', now)  -- places of workers that died
if ARGV[1] == 'enter' then
  if redis.call('ZSCORE', busy, id) then
    answer = -1
  elseif redis.call('ZCARD', busy) < places then
    redis.call('ZADD', busy, now + kept, id)
    redis.call('ZREM', waiting, id)
    answer = 1
  else
    redis.call('ZADD', waiting, 'NX', now, id)
    answer = 0
  end
else
  redis.call('ZREM', busy, id)
  answer = ''
  if redis.call('ZCARD', busy) < places then
    local first = redis.call('ZPOPMIN', waiting)
    if first[1] then
      redis.call('ZADD', busy, now + kept, first[1])
      answer = first[1]
    end
  end
end
redis.call('PEXPIRE', busy, kept * 2)
redis.call('PEXPIRE', waiting, kept * 2)
return answer
