
-- A tenant's jobs by their place in the order of creation, newest first.
-- ARGV: 3 tenant, 4 stored state ('' for all), 5 how many to skip, 6 how many to return,
--       7 ageing µs (0: off)
-- Returns {how many there are, records}

local key = P .. ':index:' .. ARGV[3] .. ':' .. (ARGV[4] == '' and 'all' or ARGV[4])
local first, records = tonumber(ARGV[5]), {}
for _, id in ipairs(redis.call('ZREVRANGE', key, first, first + tonumber(ARGV[6]) - 1)) do
  records[#records + 1] = shown(id, ARGV[7])
end
return {redis.call('ZCARD', key), records}
