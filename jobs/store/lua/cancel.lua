
-- Cancel jobs, all or none.
-- ARGV: 3 tenant, 4 whether running jobs can be cancelled (0/1), 5… ids
-- Returns {'ok'} | {'unknown', id} | {'refused', id, state}

local jobs, seen = {}, {}
for i = 5, #ARGV do
  local job = load(ARGV[i])
  if not job or job.tenant ~= ARGV[3] then return {'unknown', ARGV[i]} end
  local state = job.state
  if state == 'Success' or state == 'Failed' or (state == 'Running' and ARGV[4] ~= '1') then
    return {'refused', job.id, state}
  end
  if not seen[job.id] then jobs[#jobs + 1] = job end
  seen[job.id] = true
end
for _, job in ipairs(jobs) do
  if job.state == 'Submitted' then
    finish(job, 'Cancel', 'Success', '', '')
    refresh(job.queue)
  elseif job.state == 'Running' then
    redis.call('HSET', P .. ':job:' .. job.id, 'cancel', 1)  -- its worker stops, cleans up and confirms
  end
end
return {'ok'}
