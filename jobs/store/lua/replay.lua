
-- Make deliveries due at once; attempts stay on record. A schedule that is over starts anew. One that goes on is left
-- as it is: `scheduled` keeps the time of its next attempt until record_attempt gives it back.
-- ARGV: 3 tenant ('' for any), 4 whether only dead letters (0/1; 2: all of them or none), 5… deliveries
-- Returns those that are due now | {'refused', delivery, its status} of one that is not dead, if all or none are wanted

if ARGV[4] == '2' then
  for i = 5, #ARGV do
    local status = redis.call('HGET', P .. ':delivery:' .. ARGV[i], 'status')
    if status ~= 'dead' then return {'refused', ARGV[i], status or 'unknown'} end
  end
end
local due = {}
for i = 5, #ARGV do
  local key = P .. ':delivery:' .. ARGV[i]
  local found = fields(key, 'status', 'tenant', 'created', 'due')
  if found.status and (ARGV[3] == '' or found.tenant == ARGV[3]) and (found.status == 'dead' or ARGV[4] == '0') then
    if found.status ~= 'pending' then
      redis.call('HSET', key, 'replayed', redis.call('LLEN', P .. ':attempts:' .. ARGV[i]), 'due', int(NOW))
    elseif tonumber(redis.call('ZSCORE', P .. ':outbox', ARGV[i]) or 0) > NOW then  -- it waits, or is being sent
      redis.call('HSETNX', key, 'scheduled', found.due)
      redis.call('HSET', key, 'due', int(NOW))
    end
    redis.call('HSET', key, 'status', 'pending')
    redis.call('ZREM', P .. ':dead', ARGV[i])
    set_due(ARGV[i], found.tenant, int(NOW))
    file_delivery(ARGV[i], found.tenant, found.created, 'pending')
    due[#due + 1] = ARGV[i]
  end
end
return due
