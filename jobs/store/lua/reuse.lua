
-- Find out whether an equal job was done or is being done, so that the current attempt need not separate. If one
-- runs, the job returns to its queue until that one ends; if there is none, others wait for this one from now on.
-- ARGV: 3 job, 4 token, 5 digest of source and parameters, 6 id of a job whose stems cannot be used ('' for none),
--       7 how long the job waits at most µs, 8 jobs that may wait for one, 9 how long one beyond them waits µs
-- Returns {'done', id} | {'leads'} | {'waits', wake-ups} | {'lost'} | {'cancel'}

local job = load(ARGV[3])
if not is_current(job, ARGV[4]) then return {'lost'} end
if job.cancel == '1' then return {'cancel'} end
local key = ':' .. job.tenant .. ':' .. ARGV[5]
local done = redis.call('GET', P .. ':reuse' .. key)
if done and done ~= ARGV[6] then
  if redis.call('HGET', P .. ':job:' .. done, 'state') == 'Success' then return {'done', done} end
  done = ARGV[6]
end
if done then redis.call('DEL', P .. ':reuse' .. key) end

local leader = redis.call('GET', P .. ':leader' .. key)
if leader and leader ~= job.id then
  local found = fields(P .. ':job:' .. leader, 'state', 'leads')
  if found.state == 'Running' and found.leads == ARGV[5] then
    local followers, wait = P .. ':followers:' .. leader, ARGV[9]
    if redis.call('SCARD', followers) < tonumber(ARGV[8]) then
      redis.call('SADD', followers, job.id)
      wait = ARGV[7]
    end
    redis.call('HINCRBY', P .. ':job:' .. job.id, 'claims', -1)  -- it was not put off
    local freed = put_back(job, tonumber(wait), false, 'The job waits for an equal one, ' .. leader .. ', that runs.')
    expire(job)
    append(freed, wake_ups(job.queue, job.level, 1))
    return {'waits', freed}
  end
end
redis.call('SET', P .. ':leader' .. key, job.id)
redis.call('HSET', P .. ':job:' .. job.id, 'leads', ARGV[5])
return {'leads'}
