
-- File deliveries of a tenant by their status that an older release left unfiled, some at a time.
-- ARGV: 3 tenant, 4 limit

local home = P .. ':tenant:' .. ARGV[3]
local after = redis.call('HGET', home, 'filed') or '-inf'
if after == 'all' then return end
if after ~= '-inf' then after = '(' .. after end
local jobs = redis.call('ZRANGEBYSCORE', P .. ':index:' .. ARGV[3] .. ':all', after, '+inf', 'WITHSCORES',
  'LIMIT', 0, ARGV[4])
for i = 1, #jobs, 2 do
  local delivery = 'd' .. string.sub(jobs[i], 2)
  local found = fields(P .. ':delivery:' .. delivery, 'status', 'created')
  if found.status then file_delivery(delivery, ARGV[3], found.created, found.status) end
end
local more = #jobs == 2 * tonumber(ARGV[4])
redis.call('HSET', home, 'filed', more and jobs[#jobs] or 'all')
