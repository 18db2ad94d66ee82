-- Record how one try of a callback went.
-- ARGV: 3 delivery, 4 attempt (JSON, '' for a try that was put off), 5 next due µs ('' for none), 6 status
-- Returns 1 | 0 when the delivery is unknown

local key = P .. ':delivery:' .. ARGV[3]
if redis.call('EXISTS', key) == 0 then return 0 end
if redis.call('HGET', key, 'status') == 'delivered' then return 1 end
if ARGV[4] ~= '' then
  redis.call('RPUSH', P .. ':attempts:' .. ARGV[3], ARGV[4])
  local over = redis.call('LLEN', P .. ':attempts:' .. ARGV[3]) - 100
  if over > 0 then  -- the oldest tries are forgotten, also in the count of those before the last replay
    redis.call('LTRIM', P .. ':attempts:' .. ARGV[3], over, -1)
    local before = tonumber(redis.call('HGET', key, 'replayed') or 0)
    redis.call('HSET', key, 'replayed', math.max(0, before - over))
  end
  redis.call('HINCRBY', P .. ':counts', 'callback_tries', 1)
end
redis.call('HSET', key, 'status', ARGV[6], 'due', ARGV[5])
if ARGV[5] ~= '' then
  redis.call('ZADD', P .. ':outbox', ARGV[5], ARGV[3])
else
  redis.call('ZREM', P .. ':outbox', ARGV[3])
end
if ARGV[6] == 'dead' then
  redis.call('ZADD', P .. ':dead', int(NOW), ARGV[3])
else
  redis.call('ZREM', P .. ':dead', ARGV[3])
end
if ARGV[6] ~= 'pending' then redis.call('HINCRBY', P .. ':counts', 'callbacks:' .. ARGV[6], 1) end
return 1
