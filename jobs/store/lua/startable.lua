
-- Wake-ups for the jobs of a line that could start now.
-- ARGV: 3 level, 4 limit, 5 what the line is named after beside its level ('' for the common line)
-- Returns wake-ups

local found = {}
local limit = tonumber(ARGV[4])
for _, queue in ipairs(redis.call('ZRANGE', P .. ':ready:' .. line_named(ARGV[3], ARGV[5]), 0, limit - 1)) do
  append(found, wake_ups_of(queue, ARGV[3], ARGV[5], limit - #found))
  if #found >= limit then break end
end
return found
