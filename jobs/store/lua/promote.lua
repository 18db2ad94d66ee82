-- Let delayed jobs whose time has come be claimed again.
-- ARGV: 3 most
-- Returns wake-ups

local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':delayed', '-inf', int(NOW), 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', P .. ':delayed', id)
  local job = load(id)
  if job and job.state == 'Submitted' then
    redis.call('ZADD', P .. ':waiting:' .. job.queue .. ':' .. job.level, job.created, id)
    refresh(job.queue)
    for _, wake_up in ipairs(wake_ups(job.queue, tonumber(job.level), 1)) do found[#found + 1] = wake_up end
  end
end
return found
