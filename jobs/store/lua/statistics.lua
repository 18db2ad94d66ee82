
-- Numbers for metrics; what it costs does not depend on how many jobs, queues and tenants there are.
-- ARGV: 3 how many queues to describe, the busiest first, 4 of how many tenants to count the queues in one call, where
--       they have to be counted anew, 5 how many demands
-- Returns {now, counts, sums, queues, oldest waiting job by level, {delayed, expired leases, pending callbacks,
-- due callbacks, next due ('' for none), dead letters, leftovers}, demands as in lib/lines.lua}; a queue is {id, tenant, load}
--         | {'counting', tenants whose queues are not counted yet}

-- Count anew. Once in the life of a store, or after P:sums was deleted: a store may be older than its sums. Jobs are
-- counted at once, which is quick; queues over several calls, since any change of a queue counts it in between.
local function count_jobs()
  redis.call('DEL', P .. ':sums', P .. ':loads', P .. ':busiest')
  local states = {'Submitted', 'Running', 'Success', 'Failed', 'Cancel'}
  local jobs = {0, 0, 0, 0, 0}
  for _, tenant in ipairs(redis.call('ZRANGE', P .. ':tenants', 0, -1)) do
    for i, state in ipairs(states) do jobs[i] = jobs[i] + redis.call('ZCARD', P .. ':index:' .. tenant .. ':' .. state) end
  end
  for i, state in ipairs(states) do redis.call('HINCRBY', P .. ':sums', 'state:' .. state, jobs[i]) end
  redis.call('ZRANGESTORE', P .. ':uncounted', P .. ':tenants', 0, -1)
  redis.call('HSET', P .. ':sums', 'counted', 1)
end

if redis.call('HEXISTS', P .. ':sums', 'counted') == 0 then count_jobs() end
local uncounted = redis.call('ZPOPMIN', P .. ':uncounted', ARGV[4])
for i = 1, #uncounted, 2 do
  for _, queue in ipairs(redis.call('ZRANGE', P .. ':queues:' .. uncounted[i], 0, -1)) do refresh(queue) end
end
local left = redis.call('ZCARD', P .. ':uncounted')
if left > 0 then return {'counting', left} end
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
  due[2] or '', redis.call('ZCARD', P .. ':dead'), redis.call('ZCARD', P .. ':leftovers')}, demands(ARGV[5])}
