
-- Numbers for metrics; what it costs does not depend on how many jobs, queues and tenants there are.
-- ARGV: 3 how many queues to describe, the busiest first
-- Returns {now, counts, sums, queues, oldest waiting job by level, {delayed, expired leases, pending callbacks,
-- due callbacks, next due ('' for none), dead letters, leftovers}}; a queue is {id, tenant, load}

-- Count anew. Once in the life of a store, or after P:sums was deleted: a store may be older than its sums.
local function recount()
  redis.call('DEL', P .. ':sums', P .. ':loads', P .. ':busiest')
  for _, tenant in ipairs(redis.call('ZRANGE', P .. ':tenants', 0, -1)) do
    for _, state in ipairs({'Submitted', 'Running', 'Success', 'Failed', 'Cancel'}) do
      redis.call('HINCRBY', P .. ':sums', 'state:' .. state, redis.call('ZCARD', P .. ':index:' .. tenant .. ':' .. state))
    end
    for _, queue in ipairs(redis.call('ZRANGE', P .. ':queues:' .. tenant, 0, -1)) do refresh(queue) end
  end
  redis.call('HSET', P .. ':sums', 'counted', 1)
end

if redis.call('HEXISTS', P .. ':sums', 'counted') == 0 then recount() end
local queues, oldest = {}, {}
if tonumber(ARGV[3]) > 0 then
  for _, id in ipairs(redis.call('ZRANGE', P .. ':busiest', 0, tonumber(ARGV[3]) - 1)) do
    queues[#queues + 1] = {id, redis.call('HGET', P .. ':queue:' .. id, 'tenant'), redis.call('HGET', P .. ':loads', id)}
  end
end
for level = 0, 2 do
  local first = redis.call('ZRANGE', P .. ':oldest:' .. level, 0, 0, 'WITHSCORES')
  oldest[#oldest + 1] = first[2] or ''
end
local due = redis.call('ZRANGE', P .. ':outbox', 0, 0, 'WITHSCORES')
return {int(NOW), redis.call('HGETALL', P .. ':counts'), redis.call('HGETALL', P .. ':sums'), queues, oldest, {
  redis.call('ZCARD', P .. ':delayed'), redis.call('ZCOUNT', P .. ':leases', '-inf', int(NOW)),
  redis.call('ZCARD', P .. ':outbox'), redis.call('ZCOUNT', P .. ':outbox', '-inf', int(NOW)),
  due[2] or '', redis.call('ZCARD', P .. ':dead'), redis.call('ZCARD', P .. ':leftovers')}}
