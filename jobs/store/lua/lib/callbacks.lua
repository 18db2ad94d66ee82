
-- Callbacks: the outbox, and the lists of a tenant.

local DELIVERY_STATUSES = {'pending', 'delivered', 'dead'}

-- File a delivery by its status, for lists.
local function file_delivery(delivery, tenant, created, status)
  for _, each in ipairs(DELIVERY_STATUSES) do
    local key = P .. ':deliveries:' .. tenant .. ':' .. each
    if each == status then redis.call('ZADD', key, created, delivery) else redis.call('ZREM', key, delivery) end
  end
  local given_up = P .. ':deliveries:' .. tenant .. ':given-up'
  local at = status == 'dead' and redis.call('ZSCORE', P .. ':dead', delivery)
  if at then redis.call('ZADD', given_up, at, delivery) else redis.call('ZREM', given_up, delivery) end
end

-- Note when a delivery is due ('' for never): among all, and among those of its tenant.
local function set_due(delivery, tenant, due)
  local own = P .. ':outbox:' .. tenant
  for _, key in ipairs({P .. ':outbox', own}) do
    if due == '' then redis.call('ZREM', key, delivery) else redis.call('ZADD', key, due, delivery) end
  end
  local first = redis.call('ZRANGE', own, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', P .. ':outboxes', first[2], tenant)
  else
    redis.call('ZREM', P .. ':outboxes', tenant)
  end
end

-- Put a callback into the outbox.
local function announce(delivery, subject, tenant, target)
  redis.call('HSET', P .. ':delivery:' .. delivery, 'job', subject, 'tenant', tenant, 'target', target,
    'created', int(NOW), 'due', int(NOW), 'status', 'pending')
  set_due(delivery, tenant, int(NOW))
  file_delivery(delivery, tenant, int(NOW), 'pending')
end

local function delete_callback(delivery)
  local tenant = redis.call('HGET', P .. ':delivery:' .. delivery, 'tenant')
  if tenant then
    file_delivery(delivery, tenant, 0, '')
    set_due(delivery, tenant, '')
  end
  redis.call('DEL', P .. ':delivery:' .. delivery, P .. ':attempts:' .. delivery)
  redis.call('ZREM', P .. ':dead', delivery)
end
