
-- Delete a template.
-- ARGV: 3 tenant, 4 id
-- Returns 1 | 0 if it is unknown

local key = P .. ':template:' .. ARGV[4]
if redis.call('ZREM', P .. ':templates:' .. ARGV[3], ARGV[4]) == 0 then return 0 end
redis.call('HDEL', P .. ':template-names:' .. ARGV[3], redis.call('HGET', key, 'name'))
redis.call('DEL', key)
return 1
