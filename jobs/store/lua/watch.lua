
-- Where the events of a tenant end, and the jobs as they are there.
-- ARGV: 3 tenant, 4… ids
-- Returns {name of the last event, records}, with an empty list for each job that the tenant does not have

local records = {}
for i = 4, #ARGV do
  local mine = redis.call('HGET', P .. ':job:' .. ARGV[i], 'tenant') == ARGV[3]
  records[#records + 1] = mine and view(ARGV[i]) or {}
end
return {events_end(ARGV[3]), records}
