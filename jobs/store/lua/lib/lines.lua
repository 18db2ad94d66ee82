
-- Lines. The waiting jobs of a queue and level that want what Spleeter's networks answer stand in the common line, which
-- is named by the level alone: '1'. Those that want another model have a line of their own: '1/htdemucs'. So do
-- common jobs that a worker met which does not serve them.

-- What a job of a specification wants of its worker.
local function wants_in(text)
  local is_json, spec = pcall(cjson.decode, text or '')
  local separate = is_json and type(spec) == 'table' and type(spec.separate) == 'table' and spec.separate or {}
  local mode = separate.audio_mode == 'MusicMode' and 'MusicMode' or 'AudioAndBackground'
  return type(separate.model) == 'string' and separate.model or mode
end

-- What a job wants of its worker. An earlier release did not record it.
local function wants_of(job)
  job.wants = job.wants or wants_in(redis.call('HGET', P .. ':job:' .. job.id, 'spec'))
  return job.wants
end

local function line_named(level, wants) return wants == '' and tostring(level) or level .. '/' .. wants end

-- What the line of a waiting job is named after beside its level: what the job wants, or '' for the common line.
local function line_wants(job)
  local wants = wants_of(job)
  return COMMON[wants] and job.apart ~= '1' and '' or wants
end

local function line_of(job) return line_named(job.level, line_wants(job)) end

-- The lines of a queue and level.
local function lines_of(queue, level)
  local lines = {tostring(level)}
  for _, wants in ipairs(redis.call('HKEYS', P .. ':wanted:' .. queue)) do
    lines[#lines + 1] = line_named(level, wants)
  end
  return lines
end

-- Add to the number of waiting jobs of a queue that want the same and do not stand in the common line.
local function add_wanted(queue, wants, number)
  local of_queue = P .. ':wanted:' .. queue
  if redis.call('HINCRBY', of_queue, wants, number) <= 0 then
    redis.call('HDEL', of_queue, wants)
    for level = 0, 2 do redis.call('ZREM', P .. ':ready:' .. line_named(level, wants), queue) end
  end
  if tonumber(redis.call('ZINCRBY', P .. ':wanted', number, wants)) <= 0 then redis.call('ZREM', P .. ':wanted', wants) end
end

-- Count a waiting job there, or no longer. An earlier release changes jobs without counting them, so each says whether
-- it is counted.
local function count_wanted(job, is_waiting)
  local wants = line_wants(job)
  if wants == '' then return end
  local key = P .. ':job:' .. job.id
  if is_waiting then
    if redis.call('HSETNX', key, 'counted', 1) == 1 then add_wanted(job.queue, wants, 1) end
  elseif redis.call('HDEL', key, 'counted') == 1 then
    add_wanted(job.queue, wants, -1)
  end
end

-- A worker that lives and separates, by its number from 1, or nil. Each report is read once by a script, when it is needed.
local names
local read, living = 0, {}
local function living_worker(number)
  names = names or redis.call('ZREVRANGEBYSCORE', P .. ':workers', '+inf', int(NOW - ALIVE), 'LIMIT', 0, 500)
  while #living < number and read < #names do
    read = read + 1
    local is_json, worker = pcall(cjson.decode, redis.call('HGET', P .. ':worker-reports', names[read]) or '')
    if is_json and type(worker) == 'table' and worker.kind == 'separation' then living[#living + 1] = worker end
  end
  return living[number]
end

-- Whether workers that live announce something but none what is asked for. A worker of an earlier release announces
-- nothing, and does the common jobs.
local announcing
local function all_announce()
  if announcing == nil then
    local number = 1
    while living_worker(number) and type(living_worker(number).serves) == 'table' do number = number + 1 end
    announcing = number > 1 and living_worker(number) == nil
  end
  return announcing
end

-- Whether a worker that lives serves what a job wants. Of the common jobs this is assumed while no worker is known.
local known_served = {}
local function is_served(wants)
  if known_served[wants] == nil then
    local seen = redis.call('ZSCORE', P .. ':served', wants)
    known_served[wants] = (seen and tonumber(seen) > NOW - ALIVE) or (COMMON[wants] and not all_announce()) or false
  end
  return known_served[wants]
end

local function has(list, value)
  for _, each in ipairs(type(list) == 'table' and list or {}) do
    if each == value then return true end
  end
  return false
end

-- What keeps every worker that lives from a job of this level that wants this: 'worker' (none lives), 'model' or 'level';
-- nil if one takes it. Only shown: how jobs are scheduled does not depend on it.
local known_missing = {}
local function missing_for(level, wants)
  local line = line_named(level, wants)
  if known_missing[line] == nil then
    local missing, number = living_worker(1) and 'model' or 'worker', 1
    while missing and living_worker(number) do
      local worker = living_worker(number)
      local serves = worker.serves
      local can_do = type(serves) == 'table' and has(serves, wants) or type(serves) ~= 'table' and COMMON[wants]
      if can_do then missing = not has(worker.levels, tonumber(level)) and 'level' end
      number = number + 1
    end
    known_missing[line] = missing
  end
  return known_missing[line] or nil
end

-- What waiting jobs want that do not stand in the common line, the most wanted first, as {what, waiting jobs, whether a
-- worker that lives serves it (0/1)} of each.
local function demands(limit)
  local found = {}
  local rows = redis.call('ZREVRANGE', P .. ':wanted', 0, tonumber(limit) - 1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    found[#found + 1] = {rows[i], int(tonumber(rows[i + 1])), is_served(rows[i]) and 1 or 0}
  end
  return found
end
