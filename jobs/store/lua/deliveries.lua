
-- A page of a tenant's deliveries, the latest first; what it costs depends on its size, and not on its place.
-- ARGV: 3 tenant, 4 not before µs, 5 deliveries to skip, 6 size, 7… lists: statuses, or given-up alone
-- Returns {total, {id, time, …}} | {'unfiled'} while deliveries of older releases are to be filed: see file_deliveries

local tenant = ARGV[3]
if redis.call('HGET', P .. ':tenant:' .. tenant, 'filed') ~= 'all' and redis.call('EXISTS', P .. ':tenant:' .. tenant) == 1 then
  return {'unfiled'}
end

local since, first, size = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local lists = {}
for i = 7, #ARGV do lists[#lists + 1] = P .. ':deliveries:' .. tenant .. ':' .. ARGV[i] end

-- Dead letters by the time they were given up, which older releases did not keep for each tenant.
local dead, given_up = P .. ':deliveries:' .. tenant .. ':dead', P .. ':deliveries:' .. tenant .. ':given-up'
if ARGV[7] == 'given-up' and redis.call('ZCARD', dead) ~= redis.call('ZCARD', given_up) then
  redis.call('DEL', given_up)
  for _, id in ipairs(redis.call('ZRANGE', dead, 0, -1)) do
    redis.call('ZADD', given_up, redis.call('ZSCORE', P .. ':dead', id) or redis.call('ZSCORE', dead, id), id)
  end
end

local function count(low)
  local sum = 0
  for _, key in ipairs(lists) do sum = sum + redis.call('ZCOUNT', key, low, '+inf') end
  return sum
end

local total = count(since)
if first >= total or size < 1 then return {total, {}} end

-- The latest time at which the page may begin: `first` deliveries or fewer are later.
local low, high = 0, NOW
for _, key in ipairs(lists) do
  local newest = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
  high = math.max(high, tonumber(newest[2] or 0))
end
while low < high do
  local middle = math.floor((low + high) / 2)
  if count('(' .. int(middle)) <= first then high = middle else low = middle + 1 end
end

local skip = first - count('(' .. int(low))
local rows = {}
for _, key in ipairs(lists) do
  local part = redis.call('ZREVRANGEBYSCORE', key, int(low), since, 'WITHSCORES', 'LIMIT', 0, int(skip + size))
  for n = 1, #part, 2 do rows[#rows + 1] = {id = part[n], at = tonumber(part[n + 1])} end
end
table.sort(rows, function(a, b) if a.at == b.at then return a.id > b.id end return a.at > b.at end)
local found = {}
for i = skip + 1, math.min(skip + size, #rows) do append(found, {rows[i].id, int(rows[i].at)}) end
return {total, found}
