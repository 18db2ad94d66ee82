
-- Return the job of the current attempt to its place in the queue.
-- ARGV: 3 job, 4 token, 5 delay µs, 6 whether the attempt counts (0/1),
-- 7 why the job waits, or ''
-- Returns {'ok', wake-ups} | {'lost'} | {'cancel'} if the job is to be cancelled

local job = load(ARGV[3])
if not is_current(job, ARGV[4]) then return {'lost'} end
if job.cancel == '1' then return {'cancel'} end
leave_running(job)
move(job, 'Submitted')
local key = P .. ':job:' .. job.id
redis.call('HDEL', key, 'started', 'worker', 'uploads', 'progress', 'stage', 'ends', 'message')
if ARGV[7] ~= '' then redis.call('HSET', key, 'message', ARGV[7]) end
if ARGV[6] == '0' then redis.call('HINCRBY', key, 'attempt', -1) end
note(job.id, ARGV[6] == '0' and 'released' or 'failed', ARGV[7])
local delay = tonumber(ARGV[5])
if delay > 0 then
  wait_until(job, NOW + delay)
else
  enqueue(job)
end
tell_job(job)
if job.deadline then redis.call('ZADD', P .. ':deadlines', job.deadline, job.id) end
refresh(job.queue)
expire(job)
return {'ok', wake_ups(job.queue, job.level, 1)}
