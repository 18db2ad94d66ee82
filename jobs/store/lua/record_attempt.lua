
-- Record the outcome of an attempt to deliver a callback.
-- ARGV: 3 delivery, 4 attempt (JSON, '' if it was postponed), 5 next due µs ('' for never), 6 status
-- Returns 1 | 0 if the delivery is unknown

local key, attempts = P .. ':delivery:' .. ARGV[3], P .. ':attempts:' .. ARGV[3]
if redis.call('EXISTS', key) == 0 then return 0 end
local known = fields(key, 'status', 'tenant', 'created')
if known.status == 'delivered' then return 1 end
if ARGV[4] ~= '' then
  redis.call('RPUSH', attempts, ARGV[4])
  local surplus = redis.call('LLEN', attempts) - 100
  if surplus > 0 then  -- the oldest attempts go, also from the number of those before the last replay
    redis.call('LTRIM', attempts, surplus, -1)
    local before = tonumber(redis.call('HGET', key, 'replayed') or 0)
    redis.call('HSET', key, 'replayed', math.max(0, before - surplus))
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
file_delivery(ARGV[3], known.tenant, known.created, ARGV[6])
if ARGV[6] ~= 'pending' then redis.call('HINCRBY', P .. ':counts', 'callbacks:' .. ARGV[6], 1) end
return 1
