
-- Change the given fields of a queue.
-- ARGV: 3 tenant, 4 queue, 5… field, value
-- Returns {'ok', wake-ups} | {'unknown'}

local queue = ARGV[4]
if not redis.call('ZSCORE', P .. ':queues:' .. ARGV[3], queue) then return {'unknown'} end
local key = P .. ':queue:' .. queue
local before = redis.call('HGET', key, 'state')
for i = 5, #ARGV, 2 do redis.call('HSET', key, ARGV[i], ARGV[i + 1]) end
redis.call('HSET', key, 'updated', int(NOW))
local after = redis.call('HGET', key, 'state')
if after ~= before then tell(ARGV[3], 'queue', queue, after, 0, '', '') end
refresh(queue)
local found = {}
for level = 2, 0, -1 do append(found, wake_ups(queue, level, 1000)) end
return {'ok', found}
