-- Shared by the scripts that open a tenant; put after lib.lua.

local function open_tenant(tenant, queue, max_size, max_concurrent)
  local home = P .. ':tenant:' .. tenant
  if redis.call('HSETNX', home, 'queue', queue) == 1 then
    redis.call('HSET', home, 'created', int(NOW))
    redis.call('ZADD', P .. ':tenants', int(NOW), tenant)
    redis.call('HSET', P .. ':queue:' .. queue, 'tenant', tenant, 'name', 'queue-speech-1', 'state', 'Active',
      'max_size', max_size, 'max_concurrent', max_concurrent, 'created', int(NOW), 'updated', int(NOW), 'notify', '{}')
    redis.call('ZADD', P .. ':queues:' .. tenant, int(NOW), queue)
  end
  redis.call('HSET', home, 'open', 1)
end
