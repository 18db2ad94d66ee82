
-- Slots of a queue: `running` and `most`, and `room`, which returns how many further jobs of a level may run once
-- `taken` jobs of each level do too. A level leaves to those above it the slots that are reserved for them and free;
-- one slot is always for all.
local function slots_of(queue, q)
  local slots = {running = redis.call('SCARD', P .. ':running:' .. queue), most = tonumber(q.max_concurrent)}
  local unused = {[0] = 0, 0, 0}
  for level = 1, 2 do
    local reserved = tonumber(q['reserved:' .. level] or 0)
    if reserved > 0 then unused[level] = reserved - redis.call('SCARD', P .. ':running:' .. queue .. ':' .. level) end
  end
  function slots.room(level, taken)
    local kept, more = 0, taken and taken[0] + taken[1] + taken[2] or 0
    for higher = level + 1, 2 do kept = kept + math.max(0, unused[higher] - (taken and taken[higher] or 0)) end
    return slots.most - slots.running - more - math.min(kept, slots.most - 1)
  end
  return slots
end

-- How many further jobs of a level a queue may run.
local function room(queue, level)
  return slots_of(queue, fields(P .. ':queue:' .. queue, 'max_concurrent', 'reserved:1', 'reserved:2')).room(level)
end
