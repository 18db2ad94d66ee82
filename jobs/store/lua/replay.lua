
-- Make deliveries due at once; attempts stay on record. A schedule that is over starts anew. One that goes on is left
-- as it is: `scheduled` keeps the time of its next attempt until record_attempt gives it back.
-- ARGV: 3 tenant ('' for any), 4 whether only dead letters (0/1; 2: all of them or none), 5 deliveries of a tenant that may
--   be due for more of it to be returned, 6… deliveries
-- Returns how many are due now, and those of them to ask for at once: it has been done for those that were due, and sweeps
--   ask for the others, some of each tenant | {-1, delivery, its status} of one that is not dead, if all or none are wanted

if ARGV[4] == '2' then
  for i = 6, #ARGV do
    local status = redis.call('HGET', P .. ':delivery:' .. ARGV[i], 'status')
    if status ~= 'dead' then return {-1, ARGV[i], status or 'unknown'} end
  end
end
local count, asked = 0, {}
for i = 6, #ARGV do
  local key = P .. ':delivery:' .. ARGV[i]
  local found = fields(key, 'status', 'tenant', 'created', 'due')
  if found.status and (ARGV[3] == '' or found.tenant == ARGV[3]) and (found.status == 'dead' or ARGV[4] == '0') then
    local was_due = tonumber(redis.call('ZSCORE', P .. ':outbox', ARGV[i]) or 'inf') <= NOW
    if found.status ~= 'pending' then
      redis.call('HSET', key, 'replayed', redis.call('LLEN', P .. ':attempts:' .. ARGV[i]), 'due', int(NOW))
    elseif not was_due then  -- it waits, or is being sent
      redis.call('HSETNX', key, 'scheduled', found.due)
      redis.call('HSET', key, 'due', int(NOW))
    end
    redis.call('HSET', key, 'status', 'pending')
    redis.call('ZREM', P .. ':dead', ARGV[i])
    set_due(ARGV[i], found.tenant, int(NOW))
    file_delivery(ARGV[i], found.tenant, found.created, 'pending')
    count = count + 1
    local waiting = redis.call('ZCOUNT', P .. ':outbox:' .. found.tenant, '-inf', int(NOW))
    if not was_due and waiting <= tonumber(ARGV[5]) then asked[#asked + 1] = ARGV[i] end
  end
end
return {count, asked}
