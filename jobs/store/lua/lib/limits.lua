
-- Limits of a queue, and those that hold for a time.

-- Give a queue a weight. What its last turns moved is counted anew.
local function set_weight(queue, weight)
  local key = P .. ':queue:' .. queue
  local before = tonumber(redis.call('HGET', key, 'weight') or USUAL_WEIGHT)
  for level = 0, 2 do
    local served = tonumber(redis.call('HGET', P .. ':turn', level) or 0)
    local after = tonumber(redis.call('HGET', key, 'turn:' .. level) or 0)
    if after > served then
      after = served + (after - served) * before / weight
      redis.call('HSET', key, 'turn:' .. level, number(after))
      for _, line in ipairs(lines_of(queue, level)) do
        redis.call('ZADD', P .. ':ready:' .. line, 'XX', number(after), queue)
      end
    end
  end
  redis.call('HSET', key, 'weight', weight)
end

-- End the temporary limits of a queue, if it has any.
local function end_override(queue)
  local key = P .. ':queue:' .. queue
  local base = fields(key, 'base:max_concurrent', 'base:weight')
  if base['base:max_concurrent'] then redis.call('HSET', key, 'max_concurrent', base['base:max_concurrent']) end
  if base['base:weight'] then set_weight(queue, base['base:weight']) end
  redis.call('HDEL', key, 'base:max_concurrent', 'base:weight', 'until')
  redis.call('ZREM', P .. ':overrides', queue)
end

-- End the temporary limits whose time has come. Returns wake-ups.
local function end_overrides()
  local found = {}
  for _, queue in ipairs(redis.call('ZRANGEBYSCORE', P .. ':overrides', '-inf', int(NOW), 'LIMIT', 0, 100)) do
    end_override(queue)
    refresh(queue)
    local q = fields(P .. ':queue:' .. queue, 'tenant', 'state')
    publish_event(q.tenant, 'queue', queue, q.state, 0, '', '')
    for level = 2, 0, -1 do append(found, wake_ups(queue, level, 100)) end
  end
  return found
end
