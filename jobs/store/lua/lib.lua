-- Shared by every script of the job store; put in front of each of them.
--
-- Keys, all under the prefix P (one Valkey, with or without replicas; not a cluster):
--   P:job:<id>                 hash    the record (fields: see jobs/store/records.py)
--   P:index:<tenant>:all       zset    job id by creation time, µs; the time is unique, so it is the cursor too
--   P:index:<tenant>:<State>   zset    the same, of the jobs in that stored state (Pause is stored as Submitted)
--   P:input:<tenant>:<sha1>    zset    the same, of the jobs with that input object
--   P:waiting:<queue>:<level>  zset    job id by creation time: what may be claimed
--   P:delayed                  zset    job id by the time, µs, at which it may be claimed again
--   P:ready:<level>            zset    queue id by its turn: Active, something waiting at the level, room to run
--   P:turn                     hash    level -> turn of the queue served last
--   P:running:<queue>          set     ids of its running jobs
--   P:leases                   zset    id of every running job by the end of its lease, µs
--   P:ended                    zset    id of every ended job by the time it ended, µs
--   P:queue:<queue>            hash    the queue (fields: see records.py), and turn:<level>
--   P:queues:<tenant>          zset    queue id by creation time
--   P:tenant:<tenant>          hash    open (0 or 1), created, queue (its default one)
--   P:tenants                  zset    tenant by the time it was opened first
--   P:template:<id>            hash    the template; P:templates:<tenant> zset, P:template-names:<tenant> hash
--   P:outbox                   zset    delivery id by due time, µs
--   P:delivery:<id>            hash    one callback on its way; P:attempts:<id> list of its tries (JSON)
--   P:dead                     zset    delivery id by the time it was given up
--   P:idempotency:<tenant>:<k> string  what was answered to an Idempotency-Key (JSON), with expiry
--   P:events                   stream  job, from, to, at: every state change, capped
--   P:counts                   hash    totals since ever, for metrics
--   P:last                     string  creation time given last
--
-- ARGV[1] is P, ARGV[2] the time in µs (0: the server's own); the scripts' own arguments follow from ARGV[3].
-- LEGAL, the table of transitions, is written above this text from jobs/states.py.

local P = ARGV[1]
local NOW = tonumber(ARGV[2])
if NOW == 0 then
  local t = redis.call('TIME')
  NOW = tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function int(n) return string.format('%.0f', n) end

local function fields(key, ...)
  local names, values = {...}, redis.call('HMGET', key, ...)
  local out = {}
  for i, name in ipairs(names) do out[name] = values[i] or nil end
  return out
end

local function load(id)
  local job = fields(P .. ':job:' .. id, 'state', 'tenant', 'queue', 'level', 'created', 'attempt', 'token', 'cancel', 'input')
  if not job.state then return nil end
  job.id = id
  return job
end

-- Whether a queue has its turn at each level, after anything about it changed.
local function refresh(queue)
  local key = P .. ':queue:' .. queue
  local q = fields(key, 'state', 'max_concurrent', 'turn:0', 'turn:1', 'turn:2')
  local open = q.state == 'Active' and redis.call('SCARD', P .. ':running:' .. queue) < tonumber(q.max_concurrent)
  for level = 0, 2 do
    local ready = P .. ':ready:' .. level
    if open and redis.call('EXISTS', P .. ':waiting:' .. queue .. ':' .. level) == 1 then
      if not redis.call('ZSCORE', ready, queue) then
        -- A queue that comes back does not get the turns it did not use.
        local turn = math.max(tonumber(q['turn:' .. level] or 0), tonumber(redis.call('HGET', P .. ':turn', level) or 0))
        redis.call('ZADD', ready, int(turn), queue)
      end
    else
      redis.call('ZREM', ready, queue)
    end
  end
end

-- The wake-ups for idle workers: one for each job of the level that may start now, `most` at most.
local function wake_ups(queue, level, most)
  if not redis.call('ZSCORE', P .. ':ready:' .. level, queue) then return {} end
  local room = tonumber(redis.call('HGET', P .. ':queue:' .. queue, 'max_concurrent'))
    - redis.call('SCARD', P .. ':running:' .. queue)
  local out = {}
  for _, id in ipairs(redis.call('ZRANGE', P .. ':waiting:' .. queue .. ':' .. level, 0, math.min(room, most) - 1)) do
    out[#out + 1] = {tostring(level), id}
  end
  return out
end

local function event(id, from, to)
  redis.call('XADD', P .. ':events', 'MAXLEN', '~', '10000', '*', 'job', id, 'from', from, 'to', to, 'at', int(NOW))
end

-- One state change: from-state checked, record, indexes and event together.
local function move(job, to)
  if not (LEGAL[job.state] and LEGAL[job.state][to]) then return false end
  redis.call('HSET', P .. ':job:' .. job.id, 'state', to)
  redis.call('ZREM', P .. ':index:' .. job.tenant .. ':' .. job.state, job.id)
  redis.call('ZADD', P .. ':index:' .. job.tenant .. ':' .. to, job.created, job.id)
  event(job.id, job.state, to)
  job.state = to
  return true
end

local function leave_waiting(job)
  redis.call('ZREM', P .. ':waiting:' .. job.queue .. ':' .. job.level, job.id)
  redis.call('ZREM', P .. ':delayed', job.id)
end

local function leave_running(job)
  redis.call('SREM', P .. ':running:' .. job.queue, job.id)
  redis.call('ZREM', P .. ':leases', job.id)
end

-- A terminal state: nothing of the job stays in any list of work, and its callback is in the outbox.
local function finish(job, to, code, message, target)
  leave_waiting(job)
  leave_running(job)
  if not move(job, to) then return false end
  redis.call('HSET', P .. ':job:' .. job.id, 'ended', int(NOW), 'code', code, 'message', message)
  redis.call('HDEL', P .. ':job:' .. job.id, 'uploads')
  redis.call('ZADD', P .. ':ended', int(NOW), job.id)
  redis.call('HINCRBY', P .. ':counts', 'ended:' .. to, 1)
  if target ~= '' then
    local delivery = 'd' .. string.sub(job.id, 2)
    redis.call('HSET', P .. ':delivery:' .. delivery, 'job', job.id, 'tenant', job.tenant, 'target', target,
      'created', int(NOW), 'due', int(NOW), 'status', 'pending')
    redis.call('ZADD', P .. ':outbox', int(NOW), delivery)
  end
  return true
end

-- The record as clients see it: a waiting job of a paused queue shows Pause.
local function view(id)
  local record = redis.call('HGETALL', P .. ':job:' .. id)
  if #record == 0 then return nil end
  local state, queue
  for i = 1, #record, 2 do
    if record[i] == 'state' then state = i + 1 elseif record[i] == 'queue' then queue = record[i + 1] end
  end
  if record[state] == 'Submitted' and redis.call('HGET', P .. ':queue:' .. queue, 'state') == 'Paused' then
    record[state] = 'Pause'
  end
  record[#record + 1] = 'id'
  record[#record + 1] = id
  return record
end

local function holds(job, token)
  return job and job.state == 'Running' and job.token == token
end
