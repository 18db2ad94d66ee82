
-- Record the outcome of an attempt to deliver a callback.
-- ARGV: 3 delivery, 4 attempt (JSON, '' if it was postponed), 5 next due µs ('' for never), 6 status,
--   7 whether it was sent by hand while its schedule went on (0/1): then it does not count, and if it failed the next
--   attempt of the schedule is due when it was before
--   8 when the callback that was sent was created ('' for unknown): a batch that was retried has ended again since, if that
--   is another time, and its new end is still to be announced

local key, attempts = P .. ':delivery:' .. ARGV[3], P .. ':attempts:' .. ARGV[3]
if redis.call('EXISTS', key) == 0 then return end
local known = fields(key, 'status', 'tenant', 'created', 'due', 'scheduled')
if known.status == 'delivered' then return end
if (ARGV[8] or '') ~= '' and ARGV[8] ~= known.created then return end
if ARGV[4] ~= '' then
  redis.call('RPUSH', attempts, ARGV[4])
  if ARGV[7] == '1' then redis.call('HINCRBY', key, 'replayed', 1) end
  local surplus = redis.call('LLEN', attempts) - 100
  if surplus > 0 then  -- the oldest attempts go, also from the number of those that do not count
    redis.call('LTRIM', attempts, surplus, -1)
    local before = tonumber(redis.call('HGET', key, 'replayed') or 0)
    redis.call('HSET', key, 'replayed', math.max(0, before - surplus))
  end
  redis.call('HINCRBY', P .. ':counts', 'callback_tries', 1)
end
local due = ARGV[5]
if ARGV[6] ~= 'pending' then
  redis.call('HDEL', key, 'scheduled')
elseif ARGV[7] == '1' and ARGV[4] ~= '' then
  due = known.scheduled or known.due  -- given back before if it was sent twice at once
  redis.call('HDEL', key, 'scheduled')
elseif ARGV[4] ~= '' and known.scheduled then  -- meanwhile it was sent by hand too, which is still to be done
  redis.call('HSET', key, 'scheduled', ARGV[5])
  due = known.due
end
redis.call('HSET', key, 'status', ARGV[6], 'due', due)
set_due(ARGV[3], known.tenant, due)
if ARGV[6] == 'dead' then
  redis.call('ZADD', P .. ':dead', int(NOW), ARGV[3])
else
  redis.call('ZREM', P .. ':dead', ARGV[3])
end
file_delivery(ARGV[3], known.tenant, known.created, ARGV[6])
if ARGV[6] ~= 'pending' then redis.call('HINCRBY', P .. ':counts', 'callbacks:' .. ARGV[6], 1) end
