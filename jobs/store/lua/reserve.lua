
-- Reserve a callback for one attempt.
-- ARGV: 3 delivery, 4 how long it is reserved, µs
-- Returns 1 | 0 if it is not due, reserved, or over

local due = tonumber(redis.call('ZSCORE', P .. ':outbox', ARGV[3]) or 'inf')
if due > NOW then return 0 end
local tenant = redis.call('HGET', P .. ':delivery:' .. ARGV[3], 'tenant')
if not tenant then  -- its record is gone
  redis.call('ZREM', P .. ':outbox', ARGV[3])
  return 0
end
set_due(ARGV[3], tenant, int(NOW + tonumber(ARGV[4])))
return 1
