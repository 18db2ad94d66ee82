
-- Tenants.

local DIRECTORY = P .. ':directory'

-- Make the directory of a store whose tenants were opened by a release that keeps none.
local function make_directory()
  redis.call('DEL', DIRECTORY, P .. ':closed')
  for _, tenant in ipairs(redis.call('ZRANGE', P .. ':tenants', 0, -1)) do
    redis.call('HINCRBY', DIRECTORY, 'region:' .. string.match(tenant, '^[^/]*'), 1)
    redis.call('HINCRBY', DIRECTORY, 'tenants', 1)
    if redis.call('HGET', P .. ':tenant:' .. tenant, 'open') == '0' then redis.call('SADD', P .. ':closed', tenant) end
  end
  redis.call('HSET', DIRECTORY, 'made', int(NOW))
end

-- A text that changes whenever a tenant is opened or closed.
local function directory_mark()
  local known = tonumber(redis.call('HGET', DIRECTORY, 'tenants') or 0)
  if known ~= redis.call('ZCARD', P .. ':tenants') then make_directory() end
  local values = redis.call('HMGET', DIRECTORY, 'made', 'tenants', 'changes')
  return table.concat({values[1] or '', values[2] or '', values[3] or ''}, '/')
end

-- Note whether the service is open for a tenant.
local function set_open(tenant, is_open)
  redis.call('HSET', P .. ':tenant:' .. tenant, 'open', is_open and 1 or 0)
  redis.call(is_open and 'SREM' or 'SADD', P .. ':closed', tenant)
  redis.call('HINCRBY', DIRECTORY, 'changes', 1)
end

-- Open the service for a tenant; a new one gets its default queue. Returns false if its region has `limit` tenants.
local function open_tenant(tenant, queue, max_size, max_concurrent, limit)
  local home = P .. ':tenant:' .. tenant
  if redis.call('HGET', home, 'open') == '1' then return true end
  if redis.call('HEXISTS', home, 'queue') == 0 then
    directory_mark()
    local region = 'region:' .. string.match(tenant, '^[^/]*')
    if tonumber(redis.call('HGET', DIRECTORY, region) or 0) >= tonumber(limit) then return false end
    redis.call('HINCRBY', DIRECTORY, region, 1)
    redis.call('HINCRBY', DIRECTORY, 'tenants', 1)
    redis.call('HSETNX', DIRECTORY, 'made', int(NOW))
    redis.call('HSET', home, 'queue', queue, 'created', int(NOW), 'filed', 'all')
    redis.call('ZADD', P .. ':tenants', int(NOW), tenant)
    redis.call('HSET', P .. ':queue:' .. queue, 'tenant', tenant, 'name', 'queue-speech-1', 'state', 'Active',
      'max_size', max_size, 'max_concurrent', max_concurrent, 'created', int(NOW), 'updated', int(NOW), 'notify', '{}')
    redis.call('ZADD', P .. ':queues:' .. tenant, int(NOW), queue)
    refresh(queue)
  end
  set_open(tenant, true)
  return true
end
