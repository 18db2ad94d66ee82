
-- Changes of the state of a job.

-- Put a waiting job where claims find it, unless its batch is paused.
local function enqueue(job)
  if job.batch and redis.call('HGET', P .. ':batch:' .. job.batch, 'state') == 'Paused' then return end
  line_up(job)
end

-- Change a job's state, if the transition is in the table, with the indexes by state.
local function move(job, to)
  if not (TRANSITIONS[job.state] and TRANSITIONS[job.state][to]) then return false end
  redis.call('HSET', P .. ':job:' .. job.id, 'state', to)
  redis.call('ZREM', P .. ':index:' .. job.tenant .. ':' .. job.state, job.id)
  redis.call('ZADD', P .. ':index:' .. job.tenant .. ':' .. to, job.created, job.id)
  redis.call('HINCRBY', P .. ':sums', 'state:' .. job.state, -1)
  redis.call('HINCRBY', P .. ':sums', 'state:' .. to, 1)
  if job.state == 'Submitted' or to == 'Submitted' then count_wanted(job, to == 'Submitted') end
  if job.batch then
    count_in_batch(job.batch, job.state, -1)
    count_in_batch(job.batch, to, 1)
    redis.call(to == 'Submitted' and 'SADD' or 'SREM', P .. ':batch-waiting:' .. job.batch, job.id)
  end
  job.state = to
  return true
end

local function leave_waiting(job)
  step_out(job)
  redis.call('ZREM', P .. ':delayed', job.id)
  redis.call('SREM', P .. ':later:' .. job.queue, job.id)
end

-- Keep a waiting job from being claimed before a time.
local function wait_until(job, at)
  redis.call('ZADD', P .. ':delayed', int(at), job.id)
  redis.call('SADD', P .. ':later:' .. job.queue, job.id)
end

local function leave_running(job)
  redis.call('SREM', P .. ':running:' .. job.queue, job.id)
  redis.call('SREM', P .. ':running:' .. job.queue .. ':' .. job.level, job.id)
  redis.call('ZREM', P .. ':leases', job.id)
  return redis.call('SREM', P .. ':running-wanting:' .. wants_of(job), job.id) == 1
end

-- Running jobs that want the same, of which only so many may run. An earlier release ends jobs without taking them away.
local function count_running(wants, most)
  local key = P .. ':running-wanting:' .. wants
  local count = redis.call('SCARD', key)
  if count < most then return count end
  for _, id in ipairs(redis.call('SMEMBERS', key)) do
    if redis.call('HGET', P .. ':job:' .. id, 'state') ~= 'Running' then count = count - redis.call('SREM', key, id) end
  end
  return count
end

-- A wake-up for the next job of the line of a model, of any queue.
local function next_in_line(wants)
  for level = 2, 0, -1 do
    local queue = redis.call('ZRANGE', P .. ':ready:' .. line_named(level, wants), 0, 0)[1]
    if queue then return wake_ups_of(queue, level, wants, 1) end
  end
  return {}
end

-- Let the jobs go on that wait for a job, which does not run any more, because they are equal. Returns wake-ups.
local function free_followers(job)
  local key, found, queues = P .. ':job:' .. job.id, {}, {}
  local digest = redis.call('HGET', key, 'leads')
  if not digest then return found end
  redis.call('HDEL', key, 'leads')
  local leader = P .. ':leader:' .. job.tenant .. ':' .. digest
  if redis.call('GET', leader) == job.id then redis.call('DEL', leader) end
  local followers = P .. ':followers:' .. job.id
  for _, id in ipairs(redis.call('SMEMBERS', followers)) do
    local follower = load(id)
    if follower and follower.state == 'Submitted' and redis.call('ZREM', P .. ':delayed', id) == 1 then
      redis.call('SREM', P .. ':later:' .. follower.queue, id)
      enqueue(follower)
      local place = follower.queue .. ':' .. follower.level
      queues[place] = queues[place] or {queue = follower.queue, level = tonumber(follower.level), count = 0}
      queues[place].count = queues[place].count + 1
    end
  end
  redis.call('DEL', followers)
  for _, each in pairs(queues) do
    refresh(each.queue)
    append(found, wake_ups(each.queue, each.level, each.count))
  end
  return found
end

-- Return a running job to its place in its queue.
local function put_back(job, delay, counts, message)
  local key = P .. ':job:' .. job.id
  local was_limited = leave_running(job)
  move(job, 'Submitted')
  redis.call('HDEL', key, 'started', 'worker', 'uploads', 'progress', 'stage', 'ends', 'message')
  if message ~= '' then redis.call('HSET', key, 'message', message) end
  if not counts then redis.call('HINCRBY', key, 'attempt', -1) end
  note(job.id, counts and 'failed' or 'released', message)
  if delay > 0 then wait_until(job, NOW + delay) else enqueue(job) end
  publish_job(job)
  if job.deadline then redis.call('ZADD', P .. ':deadlines', job.deadline, job.id) end
  refresh(job.queue)
  local found = free_followers(job)
  if was_limited then append(found, next_in_line(wants_of(job))) end
  return found
end

-- End a job: remove it from the lists of waiting and running jobs and put its callback into the outbox.
-- Returns whether it could end, wake-ups, and whether it was one of a limited number of its model.
local function finish(job, to, code, message, target)
  leave_waiting(job)
  local was_limited = leave_running(job)
  if not move(job, to) then return false end
  redis.call('HSET', P .. ':job:' .. job.id, 'ended', int(NOW), 'code', code, 'message', message)
  redis.call('HDEL', P .. ':job:' .. job.id, 'uploads', 'stage', 'ends')
  redis.call('ZREM', P .. ':deadlines', job.id)
  redis.call('ZREM', P .. ':hops', job.id)
  redis.call('ZADD', P .. ':ended', int(NOW), job.id)
  redis.call('HINCRBY', P .. ':counts', 'ended:' .. to, 1)
  if target ~= '' then announce('d' .. string.sub(job.id, 2), job.id, job.tenant, target) end
  publish_job(job, job.progress, '', code)
  if job.batch then end_batch(job.batch) end
  return true, free_followers(job), was_limited
end

-- Cancel a waiting job whose deadline has passed. Returns whether it was one.
local function expire(job)
  if job.state ~= 'Submitted' or not job.deadline or tonumber(job.deadline) > NOW then return false end
  finish(job, 'Cancel', 'DeadlineExceeded', 'The deadline passed before the job could start.', '')
  refresh(job.queue)
  return true
end
