-- The jobs that could start now, to compare with the wake-ups that were sent.
-- ARGV: 3 level, 4 most
-- Returns wake-ups

local found = {}
local most = tonumber(ARGV[4])
for _, queue in ipairs(redis.call('ZRANGE', P .. ':ready:' .. ARGV[3], 0, most - 1)) do
  for _, wake_up in ipairs(wake_ups(queue, ARGV[3], most - #found)) do found[#found + 1] = wake_up end
  if #found >= most then break end
end
return found
