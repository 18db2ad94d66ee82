
-- One change of a batch.
-- ARGV: 3 what, 4 batch, then for
--   seal    5 upload, 6 SHA-256 of the body
--   pause, resume, cancel  5 tenant
--   take    5 most rows, 6 most waiting jobs
--   fed     5 number of the first row, 6 rows that are jobs now
-- Returns {'ok', …} | {'unknown'} | {'superseded'} | {'refused', state}

local what, id = ARGV[3], ARGV[4]
local key, rows = P .. ':batch:' .. id, P .. ':batch-rows:' .. id
local batch = fields(key, 'tenant', 'state', 'upload', 'body', 'created', 'rows', 'fed')

if not batch.state then return {'unknown'} end
if what == 'seal' then
  if batch.upload ~= ARGV[5] then return {'superseded'} end
  if batch.body == ARGV[6] then return {'ok'} end  -- repeated after a lost answer
  if batch.state ~= 'Loading' then return {'superseded'} end
  redis.call('HSET', key, 'state', 'Active', 'body', ARGV[6])
  redis.call('PERSIST', key)
  redis.call('PERSIST', rows)
  redis.call('ZADD', P .. ':batches:' .. batch.tenant, batch.created, id)
  redis.call('ZADD', P .. ':feeding', batch.created, id)
  tell(batch.tenant, 'batch', id, 'Active', 0, '', '')
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
  tell(batch.tenant, 'batch', id, to[what], 0, '', '')
  if what ~= 'cancel' then return {'ok', move_waiting(what == 'resume')} end
  redis.call('HINCRBY', key, 'n:Cancel', int(tonumber(batch.rows) - tonumber(batch.fed)))
  redis.call('HSET', key, 'fed', batch.rows)
  redis.call('DEL', rows)
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
  redis.call('LTRIM', rows, ARGV[6], -1)
  if redis.call('HINCRBY', key, 'fed', ARGV[6]) == tonumber(batch.rows) then redis.call('ZREM', P .. ':feeding', id) end
  end_batch(id)
end
return {'ok'}
