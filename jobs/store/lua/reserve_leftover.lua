
-- Reserve the leftover that is due first, if one is; it is due again after a wait that doubles with each time.
-- Returns its fields with its id, as a flat list, or nothing

local id = redis.call('ZRANGEBYSCORE', P .. ':leftovers', '-inf', int(NOW), 'LIMIT', 0, 1)[1]
if not id then return nil end
local key = P .. ':leftover:' .. id
local tries = redis.call('HINCRBY', key, 'tries', 1)
redis.call('ZADD', P .. ':leftovers', int(NOW + LEFTOVER_WAIT * 2 ^ math.min(tries, 9)), id)
local record = redis.call('HGETALL', key)
append(record, {'id', id})
return record
