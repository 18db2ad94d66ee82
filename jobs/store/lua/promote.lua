
-- What is due: jobs become claimable whose delay has ended, others change their level, temporary limits of queues end.
-- ARGV: 3 limit
-- Returns wake-ups

local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':delayed', '-inf', int(NOW), 'LIMIT', 0, ARGV[3])) do
  local job = load(id)
  redis.call('ZREM', P .. ':delayed', id)
  if job then redis.call('SREM', P .. ':later:' .. job.queue, id) end
  if job and job.state == 'Submitted' then
    enqueue(job)
    refresh(job.queue)
    append(found, wake_ups(job.queue, tonumber(job.level), 1))
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':hops', '-inf', int(NOW), 'LIMIT', 0, ARGV[3])) do
  local job = load(id)
  redis.call('ZREM', P .. ':hops', id)  -- one that runs keeps its level
  if job and job.state == 'Submitted' then
    local in_line = step_out(job)
    job.level = redis.call('HGET', P .. ':job:' .. id, 'hop')
    redis.call('HSET', P .. ':job:' .. id, 'level', job.level)
    redis.call('HINCRBY', P .. ':counts', 'hopped', 1)
    if in_line then line_up(job) end
    publish_job(job)
    refresh(job.queue)
    append(found, wake_ups(job.queue, tonumber(job.level), 1))
  end
end
append(found, end_overrides())
return found
