
-- Sums over all queues, for metrics.

-- What a queue adds to P:sums, in the order in which P:loads keeps it.
local LOAD = {'waiting:0', 'waiting:1', 'waiting:2', 'running', 'max_concurrent', 'paused', 'paused_waiting',
  'startable:0', 'startable:1', 'startable:2', 'queues'}

-- Keep the sums over all queues, by the difference to what this queue added before.
local function count_load(queue, q, slots, waiting)
  local all, running, taken = waiting[0] + waiting[1] + waiting[2], slots.running, {[0] = 0, 0, 0}
  local paused = q.state ~= 'Active' and 1 or 0
  local paused_jobs = paused * (all + redis.call('SCARD', P .. ':later:' .. queue))
  local load = {waiting[0], waiting[1], waiting[2], running, slots.most, paused, paused_jobs}
  for level = 2, 0, -1 do  -- the room of a queue counts once, for its highest level first
    taken[level] = paused == 1 and 0 or math.min(math.max(0, slots.room(level, taken)), waiting[level])
    load[8 + level] = taken[level]
  end
  load[11] = 1
  local text = table.concat(load, ' ')
  local before = redis.call('HGET', P .. ':loads', queue) or ''
  if before == text then return end
  local i = 0
  for value in string.gmatch(before, '%S+') do
    i = i + 1
    if tonumber(value) ~= load[i] then redis.call('HINCRBY', P .. ':sums', LOAD[i], load[i] - tonumber(value)) end
  end
  if i == 0 then
    for field, value in ipairs(load) do redis.call('HINCRBY', P .. ':sums', LOAD[field], value) end
  end
  redis.call('HSET', P .. ':loads', queue, text)
  redis.call('ZADD', P .. ':busiest', -(all + running), queue)
end

-- Whether waiting jobs of a queue, or of a batch if one is given, may not start.
local function is_paused(queue, batch)
  return redis.call('HGET', P .. ':queue:' .. queue, 'state') == 'Paused'
    or (batch and redis.call('HGET', P .. ':batch:' .. batch, 'state') == 'Paused')
end
