
-- Open the service for a tenant; a new tenant gets a queue.
-- ARGV: 3 tenant, 4 queue id for a new tenant, 5 max_size, 6 max_concurrent, 7 tenants a region may have,
--       8 prefix of the region's tenants
-- Returns {'ok', created} | {'limit'}

local home = P .. ':tenant:' .. ARGV[3]
if redis.call('EXISTS', home) == 0 and redis.call('ZCARD', P .. ':tenants') >= tonumber(ARGV[7]) then
  local count = 0
  for _, tenant in ipairs(redis.call('ZRANGE', P .. ':tenants', 0, -1)) do
    if string.sub(tenant, 1, #ARGV[8]) == ARGV[8] then count = count + 1 end
  end
  if count >= tonumber(ARGV[7]) then return {'limit'} end
end
open_tenant(ARGV[3], ARGV[4], ARGV[5], ARGV[6])
return {'ok', redis.call('HGET', home, 'created')}
