
-- Numbers for metrics; what it costs does not depend on how many jobs, queues and tenants there are.
-- ARGV: 3 how many queues to describe, the busiest first
-- Returns {now, counts, sums, queues, oldest waiting job by level, {delayed, expired leases, pending callbacks,
-- due callbacks, next due ('' for none), dead letters}}; a queue is {id, tenant, load}

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
  due[2] or '', redis.call('ZCARD', P .. ':dead')}}
