
-- Numbers about one tenant; what it costs depends on its queues alone.
-- ARGV: 3 tenant
-- Returns {{stored state, jobs, …}, queues}; a queue is {id, load as P:loads begins, oldest waiting job ('' for none),
-- mean_run ('' before the first job),
-- jobs that are put off}

local counts, queues = {}, {}
for _, state in ipairs({'Submitted', 'Running', 'Success', 'Failed', 'Cancel'}) do
  append(counts, {state, redis.call('ZCARD', P .. ':index:' .. ARGV[3] .. ':' .. state)})
end
for _, id in ipairs(redis.call('ZRANGE', P .. ':queues:' .. ARGV[3], 0, -1)) do
  local queue = fields(P .. ':queue:' .. id, 'state', 'max_concurrent', 'mean_run')
  local load, oldest = {}, ''
  for level = 0, 2 do
    local first = oldest_in_lines(id, level)
    if first and (oldest == '' or tonumber(first) < tonumber(oldest)) then oldest = first end
    load[#load + 1] = count_in_lines(id, level)
  end
  append(load, {redis.call('SCARD', P .. ':running:' .. id), queue.max_concurrent, queue.state ~= 'Active' and 1 or 0})
  queues[#queues + 1] = {id, table.concat(load, ' '), oldest, queue.mean_run or '',
    redis.call('SCARD', P .. ':later:' .. id)}
end
return {counts, queues}
