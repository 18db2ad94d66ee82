
-- Close the service for a tenant.
-- ARGV: 3 tenant
-- Returns 1 | 0 if it is not open

local home = P .. ':tenant:' .. ARGV[3]
if redis.call('HGET', home, 'open') ~= '1' then return 0 end
redis.call('HSET', home, 'open', 0)
return 1
