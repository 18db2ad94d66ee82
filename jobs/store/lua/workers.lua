
-- Return the workers that were seen last, as {name, time of the latest report, JSON of Worker}.
-- ARGV: 3 how many

local found = {}
local names = redis.call('ZREVRANGE', P .. ':workers', 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
for i = 1, #names, 2 do
  local report = redis.call('HGET', P .. ':worker-reports', names[i])
  if report then found[#found + 1] = {names[i], int(tonumber(names[i + 1])), report} end
end
return found
