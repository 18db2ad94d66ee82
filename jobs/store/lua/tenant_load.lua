
-- Numbers about one tenant; what it costs depends on its queues alone.
-- ARGV: 3 tenant
-- Returns {{stored state, jobs, …}, queues}; a queue is {id, load as P:loads begins, oldest waiting job ('' for none)}

local counts, queues = {}, {}
for _, state in ipairs({'Submitted', 'Running', 'Success', 'Failed', 'Cancel'}) do
  append(counts, {state, redis.call('ZCARD', P .. ':index:' .. ARGV[3] .. ':' .. state)})
end
for _, id in ipairs(redis.call('ZRANGE', P .. ':queues:' .. ARGV[3], 0, -1)) do
  local queue = fields(P .. ':queue:' .. id, 'state', 'max_concurrent')
  local load, oldest = {}, ''
  for level = 0, 2 do
    local waiting = P .. ':waiting:' .. id .. ':' .. level
    local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    if first[1] and (oldest == '' or tonumber(first[2]) < tonumber(oldest)) then oldest = first[2] end
    load[#load + 1] = redis.call('ZCARD', waiting)
  end
  append(load, {redis.call('SCARD', P .. ':running:' .. id), queue.max_concurrent, queue.state ~= 'Active' and 1 or 0})
  queues[#queues + 1] = {id, table.concat(load, ' '), oldest}
end
return {counts, queues}
