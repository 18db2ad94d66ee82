
-- Change the given fields of a queue.
-- ARGV: 3 tenant, 4 queue, 5 until when temporary limits hold µs (0 ends them, '' keeps what there is),
--       6 temporary max_concurrent ('' for none), 7 temporary weight ('' for none), 8 the queue's revision when it
--       was read ('' to change any), 9… field, value
-- Returns {'ok', wake-ups} | {'unknown'} | {'changed'} if it has another revision

local queue = ARGV[4]
if not redis.call('ZSCORE', P .. ':queues:' .. ARGV[3], queue) then return {'unknown'} end
local key = P .. ':queue:' .. queue
if ARGV[8] ~= '' and ARGV[8] ~= (redis.call('HGET', key, 'revision') or '0') then return {'changed'} end
local before = redis.call('HGET', key, 'state')
local function set(field, value)
  if field == 'weight' then set_weight(queue, value) else redis.call('HSET', key, field, value) end
end
redis.call('HINCRBY', key, 'revision', 1)
for i = 9, #ARGV, 2 do
  local held = redis.call('HEXISTS', key, 'base:' .. ARGV[i]) == 1  -- what follows the temporary limit
  if held then redis.call('HSET', key, 'base:' .. ARGV[i], ARGV[i + 1]) else set(ARGV[i], ARGV[i + 1]) end
end
if ARGV[5] ~= '' then
  end_override(queue)
  if ARGV[5] ~= '0' then
    for field, value in pairs({max_concurrent = ARGV[6], weight = ARGV[7]}) do
      if value ~= '' then
        redis.call('HSET', key, 'base:' .. field, redis.call('HGET', key, field) or USUAL_WEIGHT)
        set(field, value)
      end
    end
    redis.call('HSET', key, 'until', ARGV[5])
    redis.call('ZADD', P .. ':overrides', ARGV[5], queue)
  end
end
redis.call('HSET', key, 'updated', int(NOW))
local after = redis.call('HGET', key, 'state')
if after ~= before then publish_event(ARGV[3], 'queue', queue, after, 0, '', '') end
refresh(queue)
local found = {}
for level = 2, 0, -1 do append(found, wake_ups(queue, level, 1000)) end
return {'ok', found}
