
-- Delete ended jobs past their retention with everything that refers to them, and dead letters past theirs.
-- ARGV: 3 ended before µs, 4 given up before µs, 5 limit
-- Returns the number of deleted jobs and dead letters

local ids = redis.call('ZRANGEBYSCORE', P .. ':ended', '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[5])
for _, id in ipairs(ids) do delete_job(id) end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':batches-ended', '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[5])) do
  delete_batch(id)
end
local letters = redis.call('ZRANGEBYSCORE', P .. ':dead', '-inf', '(' .. ARGV[4], 'LIMIT', 0, ARGV[5])
for _, id in ipairs(letters) do delete_callback(id) end
return #ids + #letters
