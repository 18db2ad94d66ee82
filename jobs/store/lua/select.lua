
-- Count or cancel a tenant's jobs that match, the oldest first, some at a time.
-- ARGV: 3 tenant, 4 count or cancel, 5 from µs, 6 to µs (both inclusive), 7 cursor ('' or that of the last call),
--       8 jobs to look at, 9 whether running jobs can be cancelled (0/1), 10… criteria
-- Returns {jobs that match, next cursor or ''}

local low = ARGV[7] == '' and ARGV[5] or '(' .. ARGV[7]
local sources, matches = criteria(ARGV[3], 10)
local rows = rows_of(sources, false, low, ARGV[6], tonumber(ARGV[8]))
local count, queues = 0, {}
for _, row in ipairs(rows) do
  local job = matches(row.id) and load(row.id)
  if job and ARGV[4] == 'count' then
    count = count + 1
  elseif job and job.state == 'Submitted' then
    finish(job, 'Cancel', 'Success', '', '')
    queues[job.queue] = true
    count = count + 1
  elseif job and job.state == 'Running' and ARGV[9] == '1' then
    redis.call('HSET', P .. ':job:' .. job.id, 'cancel', 1)  -- its worker stops, cleans up and confirms
    count = count + 1
  end
end
for queue in pairs(queues) do refresh(queue) end
return {count, #rows == tonumber(ARGV[8]) and int(rows[#rows].at) or ''}
