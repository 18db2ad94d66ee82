
-- A page of a tenant's deliveries, the latest first.
-- ARGV: 3 tenant, 4 not created before µs, 5 deliveries to skip, 6 size, 7… statuses
-- Returns {total, ids} | {'unfiled'} while deliveries of older releases are to be filed: see file_deliveries

if redis.call('HGET', P .. ':tenant:' .. ARGV[3], 'filed') ~= 'all' and redis.call('EXISTS', P .. ':tenant:' .. ARGV[3]) == 1 then
  return {'unfiled'}
end
local first, size = tonumber(ARGV[5]), tonumber(ARGV[6])
local total, rows = 0, {}
for i = 7, #ARGV do
  local key = P .. ':deliveries:' .. ARGV[3] .. ':' .. ARGV[i]
  total = total + redis.call('ZCOUNT', key, ARGV[4], '+inf')
  local part = redis.call('ZREVRANGEBYSCORE', key, '+inf', ARGV[4], 'WITHSCORES', 'LIMIT', 0, first + size)
  for n = 1, #part, 2 do rows[#rows + 1] = {id = part[n], at = tonumber(part[n + 1])} end
end
table.sort(rows, function(a, b) if a.at == b.at then return a.id > b.id end return a.at > b.at end)
local ids = {}
for i = first + 1, math.min(first + size, #rows) do ids[#ids + 1] = rows[i].id end
return {total, ids}
