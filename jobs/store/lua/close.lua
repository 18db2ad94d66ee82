
-- Close the service for a tenant.
-- ARGV: 3 tenant
-- Returns 1 | 0 if it is not open

if redis.call('HGET', P .. ':tenant:' .. ARGV[3], 'open') ~= '1' then return 0 end
directory_mark()
set_open(ARGV[3], false)
return 1
