
-- One change of a batch.
-- ARGV: 3 what, 4 batch, then for
--   seal    5 upload, 6 SHA-256 of the body, 7 credential, 8 jobs and 9 ms of audio that it may take today
--           ('' for any number)
--   pause, resume, cancel  5 tenant
--   take    5 most rows, 6 most waiting jobs
--   fed     5 number of the first row, 6 rows that are jobs now
-- Returns {'ok', …} | {'unknown'} | {'superseded'} | {'spent'} | {'refused', state}

local what, id = ARGV[3], ARGV[4]
local key, rows = P .. ':batch:' .. id, P .. ':batch-rows:' .. id
local batch = fields(key, 'tenant', 'state', 'upload', 'body', 'created', 'rows', 'fed', 'n:made', 'counted', 'credential')
local held = P .. ':held-rows:' .. (batch.tenant or '')

if not batch.state then return {'unknown'} end
if what == 'seal' then
  if batch.upload ~= ARGV[5] then return {'superseded'} end
  if batch.body == ARGV[6] then return {'ok'} end  -- repeated after a lost answer
  if batch.state ~= 'Loading' then return {'superseded'} end
  if not has_budget(ARGV[7], ARGV[8], ARGV[9], tonumber(batch.rows)) then return {'spent'} end
  use(batch.tenant, ARGV[7], 'jobs', batch.rows)
  redis.call('HSET', key, 'state', 'Active', 'body', ARGV[6], 'credential', ARGV[7], 'counted', TODAY)
  redis.call('PERSIST', key)
  redis.call('PERSIST', rows)
  redis.call('ZADD', P .. ':batches:' .. batch.tenant, batch.created, id)
  redis.call('ZADD', P .. ':feeding', batch.created, id)
  publish_event(batch.tenant, 'batch', id, 'Active', 0, '', '')
  return {'ok'}
end

-- Put the batch's waiting jobs where claims find them, or take them away.
local function move_waiting(into)
  local queues = {}
  for _, each in ipairs(redis.call('SMEMBERS', P .. ':batch-waiting:' .. id)) do
    local job = load(each)
    if job and job.state == 'Submitted' then
      if not into then
        step_out(job)
      elseif not redis.call('ZSCORE', P .. ':delayed', each) then
        enqueue(job)
      end
      queues[job.queue] = true
    end
  end
  local found = {}
  for queue in pairs(queues) do
    refresh(queue)
    for level = 2, 0, -1 do append(found, wake_ups(queue, level, 100)) end
  end
  return found
end

if what == 'pause' or what == 'resume' or what == 'cancel' then
  if batch.tenant ~= ARGV[5] then return {'unknown'} end
  local from = {pause = 'Active', resume = 'Paused'}
  local to = {pause = 'Paused', resume = 'Active', cancel = 'Cancel'}
  if batch.state == to[what] then return {'ok', {}} end
  if batch.state == 'Loading' or batch.state == 'Done' or (from[what] and batch.state ~= from[what]) then
    return {'refused', batch.state}
  end
  redis.call('HSET', key, 'state', to[what])
  publish_event(batch.tenant, 'batch', id, to[what], 0, '', '')
  if what ~= 'cancel' then return {'ok', move_waiting(what == 'resume')} end
  local left = tonumber(batch.rows) - math.max(tonumber(batch.fed), tonumber(batch['n:made'] or 0))
  redis.call('HINCRBY', key, 'n:Cancel', int(left))
  if batch.counted and left > 0 then use(batch.tenant, batch.credential, 'jobs', -left, batch.counted) end
  redis.call('HSET', key, 'fed', batch.rows)
  redis.call('DEL', rows)
  redis.call('HDEL', held, id)
  redis.call('ZREM', P .. ':feeding', id)
  end_batch(id)
  return {'ok', {}}
end

if what == 'take' then
  redis.call('ZADD', P .. ':feeding', 'XX', int(NOW), id)  -- the others are looked at before it is again
  if batch.state ~= 'Active' then return {'ok', batch.fed, {}} end
  local most = math.min(tonumber(ARGV[5]), tonumber(ARGV[6]) - redis.call('SCARD', P .. ':batch-waiting:' .. id))
  return {'ok', batch.fed, most > 0 and redis.call('LRANGE', rows, 0, int(most - 1)) or {}}
end

if batch.fed == ARGV[5] and batch.state ~= 'Cancel' then  -- else another process has counted these rows
  local bytes = tonumber(string.match(redis.call('HGET', held, id) or '', '%d+$'))
  for _, row in ipairs(redis.call('LRANGE', rows, 0, ARGV[6] - 1)) do bytes = bytes and bytes - #row end
  redis.call('LTRIM', rows, ARGV[6], -1)
  local left = redis.call('LLEN', rows)
  if left == 0 then
    redis.call('HDEL', held, id)
  elseif bytes then  -- a batch of an older release is not counted
    redis.call('HSET', held, id, left .. ' ' .. int(bytes))
  end
  if redis.call('HINCRBY', key, 'fed', ARGV[6]) == tonumber(batch.rows) then redis.call('ZREM', P .. ':feeding', id) end
  end_batch(id)
end
return {'ok'}
