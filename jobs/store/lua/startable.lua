
-- Wake-ups for the jobs of a level that could start now.
-- ARGV: 3 level, 4 limit
-- Returns wake-ups

local found = {}
local limit = tonumber(ARGV[4])
for _, queue in ipairs(redis.call('ZRANGE', P .. ':ready:' .. ARGV[3], 0, limit - 1)) do
  append(found, wake_ups(queue, ARGV[3], limit - #found))
  if #found >= limit then break end
end
return found
