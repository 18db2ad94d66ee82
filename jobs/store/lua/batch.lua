
-- One change of a batch.
-- ARGV: 3 what, 4 batch, then for
--   begin   5 tenant, 6 name, 7 spec, 8 target, 9 upload, 10 ms until it is forgotten unless sealed
--   append  5 upload, 6… rows
--   seal    5 upload, 6 SHA-256 of the body
--   pause, resume, cancel  5 tenant
--   take    5 most rows, 6 most waiting jobs
--   fed     5 number of the first row, 6 rows that are jobs now
-- Returns {'ok', …} | {'unknown'} | {'sealed', SHA-256 of the body} | {'superseded'} | {'refused', state}

local what, id = ARGV[3], ARGV[4]
local key, rows = P .. ':batch:' .. id, P .. ':batch-rows:' .. id
local batch = fields(key, 'tenant', 'state', 'upload', 'body', 'created', 'rows', 'fed')

if what == 'begin' then
  if batch.state and batch.state ~= 'Loading' then return {'sealed', batch.body} end
  redis.call('DEL', key, rows)  -- an upload that broke off begins anew
  redis.call('HSET', key, 'tenant', ARGV[5], 'name', ARGV[6], 'spec', ARGV[7], 'target', ARGV[8], 'upload', ARGV[9],
    'created', int(NOW), 'state', 'Loading', 'rows', 0, 'fed', 0)
  redis.call('PEXPIRE', key, ARGV[10])
  return {'ok'}
end
if not batch.state then return {'unknown'} end
if what == 'append' or what == 'seal' then
  if batch.state ~= 'Loading' or batch.upload ~= ARGV[5] then return {'superseded'} end
  if what == 'append' then
    for i = 6, #ARGV do redis.call('RPUSH', rows, ARGV[i]) end
    redis.call('PEXPIRE', rows, redis.call('PTTL', key))
    redis.call('HSET', key, 'rows', redis.call('LLEN', rows))
    return {'ok'}
  end
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
        redis.call('ZREM', P .. ':waiting:' .. job.queue .. ':' .. job.level, each)
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
