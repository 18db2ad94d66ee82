
-- Delete ended jobs past their retention with everything that refers to them, and dead letters past theirs.
-- ARGV: 3 ended before µs, 4 given up before µs, 5 limit
-- Returns the number of deleted jobs and dead letters

local function delete_callback(delivery)
  local tenant = redis.call('HGET', P .. ':delivery:' .. delivery, 'tenant')
  if tenant then file_delivery(delivery, tenant, 0, '') end
  redis.call('DEL', P .. ':delivery:' .. delivery, P .. ':attempts:' .. delivery)
  redis.call('ZREM', P .. ':outbox', delivery)
  redis.call('ZREM', P .. ':dead', delivery)
end

local ids = redis.call('ZRANGEBYSCORE', P .. ':ended', '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[5])
for _, id in ipairs(ids) do
  local job = load(id)
  redis.call('ZREM', P .. ':ended', id)
  if job then
    redis.call('ZREM', P .. ':index:' .. job.tenant .. ':all', id)
    redis.call('ZREM', P .. ':index:' .. job.tenant .. ':' .. job.state, id)
    redis.call('ZREM', P .. ':input:' .. job.tenant .. ':' .. job.input, id)
    if job.batch then redis.call('ZREM', P .. ':batch-jobs:' .. job.batch, id) end
    local digest = redis.call('HGET', P .. ':job:' .. id, 'digest')
    local reuse = digest and P .. ':reuse:' .. job.tenant .. ':' .. digest
    if reuse and redis.call('GET', reuse) == id then redis.call('DEL', reuse) end
    redis.call('DEL', P .. ':job:' .. id, P .. ':waveforms:' .. id, P .. ':history:' .. id)
    redis.call('HINCRBY', P .. ':sums', 'state:' .. job.state, -1)
    delete_callback('d' .. string.sub(id, 2))
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':batches-ended', '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[5])) do
  local key = P .. ':batch:' .. id
  redis.call('ZREM', P .. ':batches:' .. (redis.call('HGET', key, 'tenant') or ''), id)
  redis.call('ZREM', P .. ':batches-ended', id)
  redis.call('DEL', key, P .. ':batch-rows:' .. id, P .. ':batch-jobs:' .. id, P .. ':batch-waiting:' .. id)
  delete_callback('d' .. string.sub(id, 2))
end
local letters = redis.call('ZRANGEBYSCORE', P .. ':dead', '-inf', '(' .. ARGV[4], 'LIMIT', 0, ARGV[5])
for _, id in ipairs(letters) do delete_callback(id) end
return #ids + #letters
