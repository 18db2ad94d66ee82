
-- Return the job of the current attempt to its place in the queue.
-- ARGV: 3 job, 4 token, 5 delay µs, 6 whether the attempt counts (0/1),
-- 7 why the job waits, or '', 8 uploads that could not be removed (JSON or '')
-- Returns {'ok', wake-ups} | {'lost'} | {'cancel'} if the job is to be cancelled

local job = load(ARGV[3])
if not is_current(job, ARGV[4]) then return {'lost'} end
if job.cancel == '1' then return {'cancel'} end
leave(job, ARGV[8])
local found = put_back(job, tonumber(ARGV[5]), ARGV[6] == '1', ARGV[7])
expire(job)
append(found, wake_ups(job.queue, job.level, 1))
return {'ok', found}
