-- The holder gives the job up without ending it: a stop, or trouble that may pass.
-- ARGV: 3 job, 4 token, 5 delay µs, 6 whether the attempt counts (0/1)
-- Returns {'ok', wake-ups} | {'lost'} | {'cancel'} when a cancel was asked

local job = load(ARGV[3])
if not holds(job, ARGV[4]) then return {'lost'} end
if job.cancel == '1' then return {'cancel'} end
leave_running(job)
move(job, 'Submitted')
local key = P .. ':job:' .. job.id
redis.call('HDEL', key, 'started', 'worker', 'uploads', 'progress')
if ARGV[6] == '0' then redis.call('HINCRBY', key, 'attempt', -1) end
local delay = tonumber(ARGV[5])
if delay > 0 then
  redis.call('ZADD', P .. ':delayed', int(NOW + delay), job.id)
else
  redis.call('ZADD', P .. ':waiting:' .. job.queue .. ':' .. job.level, job.created, job.id)
end
refresh(job.queue)
return {'ok', wake_ups(job.queue, job.level, 1)}
