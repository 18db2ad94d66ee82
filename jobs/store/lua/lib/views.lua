
-- Jobs as clients see them, with their place.

-- A job's record as clients see it, as a flat list with its id, or nil.
local function view(id)
  local record = redis.call('HGETALL', P .. ':job:' .. id)
  if #record == 0 then return nil end
  local at = {}
  for i = 1, #record, 2 do at[record[i]] = i + 1 end
  check_version(id, record[at.v])
  if record[at.state] == 'Submitted' and is_paused(record[at.queue], at.batch and record[at.batch]) then
    record[at.state] = 'Pause'
  end
  append(record, {'id', id})
  return record
end

-- Jobs of its queue, of lines named alike, that are claimed before a waiting one, by the rule of claim.lua; nil if it is
-- not claimable.
-- Ageing in µs; 0 for none. O(log n). With ageing and several shares of another level it is an estimate.
local function jobs_ahead(job, ageing)
  local ahead, level, created = ahead_in_line(job), tonumber(job.level), tonumber(job.created)
  if not ahead then return nil end
  local wants = line_wants(job)
  for other = 0, 2 do
    local line = line_named(other, wants)
    if other > level and ageing == 0 then
      ahead = ahead + count_in_line(job.queue, line)
    elseif other ~= level and ageing > 0 then
      -- Those that rank higher were created by `higher`; those of the same rank by `same`, and before this one.
      local rank = level + math.floor(math.max(0, NOW - created) / ageing)
      local higher = NOW - (rank - other + 1) * ageing
      local same = math.min(higher + ageing, created - 1)
      for _, kind in ipairs({':waiting:', ':weighted:'}) do
        local list = P .. kind .. job.queue .. ':' .. line
        ahead = ahead + redis.call('ZCOUNT', list, '-inf', int(math.max(higher, same)))
      end
    end
  end
  return ahead
end

-- A record as view returns it, of a job that is not over with what its estimates are made from.
local function shown(id, ageing)
  local record = view(id)
  if not record then return nil end
  local at = {}
  for i = 1, #record, 2 do at[record[i]] = record[i + 1] end
  if at.state == 'Submitted' or at.state == 'Pause' or at.state == 'Running' then
    local ahead
    if at.state ~= 'Running' then
      ahead = jobs_ahead(at, tonumber(ageing))
    end
    local wants = wants_of(at)
    local means = redis.call('HMGET', P .. ':queue:' .. at.queue, 'mean_run', 'mean_run:' .. wants)
    append(record, {'now', int(NOW), 'running', int(redis.call('SCARD', P .. ':running:' .. at.queue))})
    if ahead then append(record, {'ahead', int(ahead)}) end
    if means[2] or means[1] then append(record, {'mean_run', means[2] or means[1]}) end
    if at.state ~= 'Running' then
      local missing = missing_for(at.level, wants)
      if missing then append(record, {'missing', missing}) end
      if not is_served(wants) then append(record, {'unserved', wants}) end
    end
  end
  return record
end
