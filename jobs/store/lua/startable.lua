-- The jobs that could start now, to compare with the bells that were rung.
-- ARGV: 3 level, 4 most
-- Returns bells

local rings = {}
local most = tonumber(ARGV[4])
for _, queue in ipairs(redis.call('ZRANGE', P .. ':ready:' .. ARGV[3], 0, most - 1)) do
  for _, bell in ipairs(bells(queue, ARGV[3], most - #rings)) do rings[#rings + 1] = bell end
  if #rings >= most then break end
end
return rings
