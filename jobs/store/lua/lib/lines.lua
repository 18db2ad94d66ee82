
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

-- Whether workers that live announce something but none what is asked for. A worker of an earlier release announces
-- nothing, and does the common jobs.
local announcing
local function all_announce()
  if announcing ~= nil then return announcing end
  local names = redis.call('ZREVRANGEBYSCORE', P .. ':workers', '+inf', int(NOW - ALIVE), 'LIMIT', 0, 500)
  announcing = false
  for _, name in ipairs(names) do
    local is_json, worker = pcall(cjson.decode, redis.call('HGET', P .. ':worker-reports', name) or '')
    if is_json and type(worker) == 'table' and worker.kind == 'separation' then
      if type(worker.serves) ~= 'table' then
        announcing = false
        return false
      end
      announcing = true
    end
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
