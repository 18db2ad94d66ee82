
-- Cancel waiting jobs whose deadline has passed.
-- ARGV: 3 limit
-- Returns how many were cancelled or run already

local ids = redis.call('ZRANGEBYSCORE', P .. ':deadlines', '-inf', int(NOW), 'LIMIT', 0, ARGV[3])
for _, id in ipairs(ids) do
  local job = load(id)
  redis.call('ZREM', P .. ':deadlines', id)  -- a running job is looked at again if it is released
  if job then expire(job) end
end
return #ids
