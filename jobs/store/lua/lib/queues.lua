
-- Queues that are ready, and wake-ups for their jobs.

-- Update whether a queue is ready at each level, and what it adds to the sums; to be called after any change of
-- the queue or its jobs.
local function refresh(queue)
  local q = fields(P .. ':queue:' .. queue, 'state', 'max_concurrent', 'turn:0', 'turn:1', 'turn:2', 'reserved:1',
    'reserved:2')
  local slots, waiting, wanted = slots_of(queue, q), {}, redis.call('HKEYS', P .. ':wanted:' .. queue)
  for level = 0, 2 do
    local oldest, room, turn
    waiting[level] = 0
    for i = 0, #wanted do
      local line = line_named(level, wanted[i] or '')
      local ready, first = P .. ':ready:' .. line, oldest_in_line(queue, line)
      if first then
        waiting[level] = waiting[level] + count_in_line(queue, line)
        if not oldest or tonumber(first) < tonumber(oldest) then oldest = first end
        room = room or slots.room(level)
      end
      if first and q.state == 'Active' and room > 0 then
        if not redis.call('ZSCORE', ready, queue) then
          -- Turns that pass while a queue is not ready are not made up for.
          turn = turn or math.max(tonumber(q['turn:' .. level] or 0), tonumber(redis.call('HGET', P .. ':turn', level) or 0))
          redis.call('ZADD', ready, number(turn), queue)
        end
      else
        redis.call('ZREM', ready, queue)
      end
    end
    if oldest and q.state == 'Active' then
      redis.call('ZADD', P .. ':oldest:' .. level, oldest, queue)
    else
      redis.call('ZREM', P .. ':oldest:' .. level, queue)
    end
  end
  count_load(queue, q, slots, waiting)
end

-- Wake-ups as {level, job id, what the line is named after}: one for each waiting job of a line that may start now,
-- `limit` at most; none where no worker would take them.
local function wake_ups_of(queue, level, wants, limit)
  local line = line_named(level, wants)
  if not redis.call('ZSCORE', P .. ':ready:' .. line, queue) then return {} end
  if wants ~= '' and not is_served(wants) then return {} end
  local count = math.min(room(queue, tonumber(level)), limit)
  local out = {}
  for _, kind in ipairs({':waiting:', ':weighted:'}) do
    if count > #out then
      for _, id in ipairs(redis.call('ZRANGE', P .. kind .. queue .. ':' .. line, 0, count - #out - 1)) do
        out[#out + 1] = {tostring(level), id, wants}
      end
    end
  end
  return out
end

-- The same of all lines of a queue and level, `limit` of each.
local function wake_ups(queue, level, limit)
  local out = wake_ups_of(queue, level, '', limit)
  for _, wants in ipairs(redis.call('HKEYS', P .. ':wanted:' .. queue)) do
    append(out, wake_ups_of(queue, level, wants, limit))
  end
  return out
end
