
-- Make released jobs claimable whose delay has ended.
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
return found
