
-- Jobs that match a filter.

-- Which jobs of a tenant a filter means. ARGV from `first`: queue id, input hash, level, prefix of the input object
-- ('' for all of each), whether only jobs that are not retried (0/1), batch id ('' for all), states as clients see them (none for all).
-- Returns the indexes to read, and a function that returns whether a job matches.
local function criteria(tenant, first)
  local queue, input, level, prefix = ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local unretried, batch = ARGV[first + 4], ARGV[first + 5]
  local wanted, sources = nil, {}
  for i = first + 6, #ARGV do
    wanted = wanted or {}
    wanted[ARGV[i]] = true
    sources[P .. ':index:' .. tenant .. ':' .. (ARGV[i] == 'Pause' and 'Submitted' or ARGV[i])] = true
  end
  if not wanted then sources = {[P .. ':index:' .. tenant .. ':all'] = true} end
  if input ~= '' then sources = {[P .. ':input:' .. tenant .. ':' .. input] = true} end
  if batch ~= '' then  -- another tenant's is not read: a cursor would tell when its jobs were created
    local rows = P .. ':batch-jobs:' .. batch
    local first = redis.call('ZRANGE', rows, 0, 0)[1]
    local is_own = first and redis.call('HGET', P .. ':job:' .. first, 'tenant') == tenant
    sources = is_own and {[rows] = true} or {}
  end
  local paused = {}
  local function matches(id)
    local job = job_fields(id, 'tenant', 'queue', 'level', 'retried', 'batch', prefix ~= '' and 'spec' or 'v')
    if not job or job.tenant ~= tenant or (batch ~= '' and job.batch ~= batch) then return false end
    if queue ~= '' and job.queue ~= queue then return false end
    if level ~= '' and job.level ~= level then return false end
    if unretried == '1' and job.retried then return false end
    if prefix ~= '' and string.sub(cjson.decode(job.spec).input_object, 1, #prefix) ~= prefix then return false end
    if not wanted then return true end
    local place = job.queue .. (job.batch or '')
    if paused[place] == nil then paused[place] = is_paused(job.queue, job.batch) end
    return wanted[job.state == 'Submitted' and paused[place] and 'Pause' or job.state]
  end
  return sources, matches
end

-- The first rows {id, at} of several indexes together.
local function rows_of(sources, descending, low, high, limit)
  local rows = {}
  for key in pairs(sources) do
    local part
    if descending then
      part = redis.call('ZREVRANGEBYSCORE', key, high, low, 'WITHSCORES', 'LIMIT', 0, limit)
    else
      part = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', 0, limit)
    end
    for i = 1, #part, 2 do rows[#rows + 1] = {id = part[i], at = tonumber(part[i + 1])} end
  end
  table.sort(rows, function(a, b) if descending then return a.at > b.at end return a.at < b.at end)
  for i = limit + 1, #rows do rows[i] = nil end
  return rows
end
