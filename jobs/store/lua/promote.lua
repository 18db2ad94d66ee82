-- Let delayed jobs whose time has come be claimed again.
-- ARGV: 3 most
-- Returns bells

local rings = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', P .. ':delayed', '-inf', int(NOW), 'LIMIT', 0, ARGV[3])) do
  redis.call('ZREM', P .. ':delayed', id)
  local job = load(id)
  if job and job.state == 'Submitted' then
    redis.call('ZADD', P .. ':waiting:' .. job.queue .. ':' .. job.level, job.created, id)
    refresh(job.queue)
    for _, bell in ipairs(bells(job.queue, tonumber(job.level), 1)) do rings[#rings + 1] = bell end
  end
end
return rings
