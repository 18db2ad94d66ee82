
-- Open the service for a tenant; a new tenant gets a queue.
-- ARGV: 3 tenant, 4 queue id for a new tenant, 5 max_size, 6 max_concurrent, 7 tenants a region may have,
--       8 whether one that was closed is opened again (0/1)
-- Returns {'ok', created} | {'limit'} | {'closed'}

if ARGV[8] ~= '1' and redis.call('HGET', P .. ':tenant:' .. ARGV[3], 'open') == '0' then return {'closed'} end
if not open_tenant(ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]) then return {'limit'} end
return {'ok', redis.call('HGET', P .. ':tenant:' .. ARGV[3], 'created')}
