
-- One page of a tenant's jobs by creation time.
-- ARGV: 3 tenant, 4 Desc or Asc, 5 from µs, 6 to µs (both inclusive), 7 cursor ('' or the last creation time returned),
--       8 size, 9 ageing µs (0: off; '' for no more than was submitted), 10… criteria
-- Returns {records, next cursor or ''}; fewer records where they are large

local descending, size = ARGV[4] == 'Desc', tonumber(ARGV[8])
local low, high = ARGV[5], ARGV[6]
if ARGV[7] ~= '' then
  if descending then high = '(' .. ARGV[7] else low = '(' .. ARGV[7] end
end
local sources, matches = criteria(ARGV[3], 10)

local SUBMITTED = {'spec', 'state', 'created', 'queue', 'level'}

-- What retries need of a record: a fifth of it.
local function submitted(id)
  local record, values = {'id', id}, redis.call('HMGET', P .. ':job:' .. id, unpack(SUBMITTED))
  for i, name in ipairs(SUBMITTED) do append(record, {name, values[i]}) end
  return record
end

local found, last, exhausted, most, bytes = {}, '', false, size, 0

-- Add a job to the page, which is full with so many jobs or so many bytes.
local function add(id)
  local record = ARGV[9] == '' and submitted(id) or shown(id, ARGV[9])
  found[#found + 1] = record
  for _, text in ipairs(record or {}) do bytes = bytes + #tostring(text) end
  if bytes >= PAGE_BYTES then most = #found end
end

-- Filters without an index may drop rows: read on until the page is full, but look at some 2,000 rows at most.
for _ = 1, math.max(1, math.min(20, math.floor(2000 / size))) do
  local rows = rows_of(sources, descending, low, high, size + 1)
  exhausted = #rows <= size
  for i, row in ipairs(rows) do
    if i > size then break end
    if #found == most then exhausted = false; break end
    last = int(row.at)
    if matches(row.id) then add(row.id) end
  end
  if exhausted or #found == most then break end
  if descending then high = '(' .. last else low = '(' .. last end
end
return {found, exhausted and '' or last}
