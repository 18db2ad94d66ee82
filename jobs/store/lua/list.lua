
-- One page of a tenant's jobs by creation time.
-- ARGV: 3 tenant, 4 Desc or Asc, 5 from µs, 6 to µs (both inclusive), 7 cursor ('' or the last creation time returned),
--       8 size, 9 queue id ('' for all), 10 input hash ('' for all), 11… states as clients see them (none for all)
-- Returns {records, next cursor or ''}

local tenant, descending, size = ARGV[3], ARGV[4] == 'Desc', tonumber(ARGV[8])
local low, high = ARGV[5], ARGV[6]
if ARGV[7] ~= '' then
  if descending then high = '(' .. ARGV[7] else low = '(' .. ARGV[7] end
end
local wanted, sources = {}, {}
for i = 11, #ARGV do
  wanted[ARGV[i]] = true
  local stored = ARGV[i] == 'Pause' and 'Submitted' or ARGV[i]
  sources[P .. ':index:' .. tenant .. ':' .. stored] = true
end
if #ARGV < 11 then sources = {[P .. ':index:' .. tenant .. ':all'] = true} end
if ARGV[10] ~= '' then sources = {[P .. ':input:' .. tenant .. ':' .. ARGV[10]] = true} end

local paused = {}
local function matches(id)
  local job = job_fields(id, 'queue')
  if not job then return false end
  if ARGV[9] ~= '' and job.queue ~= ARGV[9] then return false end
  if #ARGV < 11 then return true end
  if paused[job.queue] == nil then
    paused[job.queue] = redis.call('HGET', P .. ':queue:' .. job.queue, 'state') == 'Paused'
  end
  local state = job.state
  if state == 'Submitted' and paused[job.queue] then state = 'Pause' end
  return wanted[state]
end

local found, last, exhausted = {}, '', false
-- Filters without an index may drop rows: read on until the page is full, but bound the work of one call.
for _ = 1, 20 do
  local rows = {}
  for key in pairs(sources) do
    local part
    if descending then
      part = redis.call('ZREVRANGEBYSCORE', key, high, low, 'WITHSCORES', 'LIMIT', 0, size + 1)
    else
      part = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', 0, size + 1)
    end
    for i = 1, #part, 2 do rows[#rows + 1] = {id = part[i], at = tonumber(part[i + 1])} end
  end
  table.sort(rows, function(a, b) if descending then return a.at > b.at end return a.at < b.at end)
  exhausted = #rows <= size
  for i, row in ipairs(rows) do
    if i > size then break end
    if #found == size then exhausted = false; break end
    last = int(row.at)
    if matches(row.id) then found[#found + 1] = view(row.id) end
  end
  if exhausted or #found == size then break end
  if descending then high = '(' .. last else low = '(' .. last end
end
return {found, exhausted and '' or last}
