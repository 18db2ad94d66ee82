
-- End the current attempt with its job.
-- ARGV: 3 job, 4 token, 5 state (Success, Failed or Cancel), 6 code, 7 message, 8 result (JSON or ''),
--       9 callback target (JSON or ''), 10 waveforms (JSON or ''), 11 credential, 12 duration of the source ms,
--       13 its bytes, 14 bytes of the stems, 15 digest under which its stems are reused ('' for none), 16 whether they
--       were copied from another job (0/1), 17 uploads that could not be removed (JSON or '')
-- Returns {'ok', wake-ups} | {'lost'} | {'cancel'} if the job is to be cancelled and cannot succeed

local job = load(ARGV[3])
-- Repeated after a lost answer: a job that waits again, or was cancelled while it waited, has no worker.
if job and job.state == ARGV[5] and job.token == ARGV[4] and fields(P .. ':job:' .. job.id, 'worker').worker then
  return {'ok', {}}
end
if not is_current(job, ARGV[4]) then return {'lost'} end
if ARGV[5] == 'Success' and job.cancel == '1' then return {'cancel'} end
if ARGV[8] ~= '' then
  redis.call('HSET', P .. ':job:' .. job.id, 'result', ARGV[8], 'progress', 100)
  job.progress = 100
end
weigh(job, #ARGV[7] + #ARGV[8] + #ARGV[9] + #ARGV[10])
if ARGV[10] ~= '' then redis.call('SET', P .. ':waveforms:' .. job.id, ARGV[10]) end
local ran = fields(P .. ':job:' .. job.id, 'started', 'device')
if ARGV[5] ~= 'Cancel' then
  use(job.tenant, ARGV[11], ARGV[5] == 'Success' and 'succeeded' or 'failed', 1)
  use(job.tenant, ARGV[11], 'work_ms:' .. (ran.device or ''), math.floor((NOW - tonumber(ran.started)) / 1000))
end
if ARGV[5] == 'Success' then
  use(job.tenant, ARGV[11], 'audio_ms', ARGV[12])
  use(job.tenant, ARGV[11], 'bytes_in', ARGV[13])
  use(job.tenant, ARGV[11], 'bytes_out', ARGV[14])
end
if ARGV[5] == 'Success' and ARGV[15] ~= '' then
  redis.call('HSET', P .. ':job:' .. job.id, 'digest', ARGV[15])
  redis.call('SET', P .. ':reuse:' .. job.tenant .. ':' .. ARGV[15], job.id)
end
if ARGV[16] == '1' then
  redis.call('HINCRBY', P .. ':counts', 'reused', 1)
elseif ARGV[5] == 'Success' then  -- what the estimates of the next jobs are made from
  redis.call('HINCRBY', P .. ':counts', 'audio_ms_of:' .. wants_of(job), ARGV[12])
  redis.call('HINCRBY', P .. ':counts', 'work_ms_of:' .. wants_of(job), int(math.floor((NOW - tonumber(ran.started)) / 1000)))
  local queue = P .. ':queue:' .. job.queue
  local run = NOW - tonumber(ran.started)
  for _, field in ipairs({'mean_run', 'mean_run:' .. wants_of(job)}) do
    local mean = tonumber(redis.call('HGET', queue, field) or run)
    redis.call('HSET', queue, field, int(math.floor(mean + (run - mean) / 5 + 0.5)))
  end
end
leave(job, ARGV[17])
local _, found, was_limited = finish(job, ARGV[5], ARGV[6], ARGV[7], ARGV[9])
refresh(job.queue)
if #found == 0 then
  for level = 2, 0, -1 do
    found = wake_ups(job.queue, level, 1)
    if #found > 0 then break end
  end
end
if was_limited then append(found, next_in_line(wants_of(job))) end
return {'ok', found}
