
-- Tenants.

-- Open the service for a tenant; a new one gets its default queue. Returns false if its region has `limit` tenants.
local function open_tenant(tenant, queue, max_size, max_concurrent, limit)
  local home = P .. ':tenant:' .. tenant
  if redis.call('EXISTS', home) == 0 and redis.call('ZCARD', P .. ':tenants') >= tonumber(limit) then
    local region, count = string.match(tenant, '^[^/]*/'), 0
    for _, known in ipairs(redis.call('ZRANGE', P .. ':tenants', 0, -1)) do
      if string.sub(known, 1, #region) == region then count = count + 1 end
    end
    if count >= tonumber(limit) then return false end
  end
  if redis.call('HSETNX', home, 'queue', queue) == 1 then
    redis.call('HSET', home, 'created', int(NOW), 'filed', 'all')
    redis.call('ZADD', P .. ':tenants', int(NOW), tenant)
    redis.call('HSET', P .. ':queue:' .. queue, 'tenant', tenant, 'name', 'queue-speech-1', 'state', 'Active',
      'max_size', max_size, 'max_concurrent', max_concurrent, 'created', int(NOW), 'updated', int(NOW), 'notify', '{}')
    redis.call('ZADD', P .. ':queues:' .. tenant, int(NOW), queue)
    refresh(queue)
  end
  redis.call('HSET', home, 'open', 1)
  return true
end
