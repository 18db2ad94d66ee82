-- Store jobs, all or none.
-- ARGV: 3 tenant, 4 open on first use (0/1), 5 queue id for a new tenant, 6 max_size, 7 max_concurrent,
--       8 idempotency key ('' for none), 9 body hash, 10 seconds it is remembered,
--       11… jobs of one id, spec, level, input hash, queue id ('' for the default) each
-- Returns {'ok', records, wake-ups} | {'repeat', records} | {'conflict'} | {'unopened'} | {'no-queue'} | {'full'}

-- The answer carries the records, so that nothing can fail between storing the jobs and notifying workers.
local function seen(ids)
  local records = {}
  for i, id in ipairs(ids) do records[i] = view(id) or {} end
  return records
end

local tenant = ARGV[3]
local remembered = P .. ':idempotency:' .. tenant .. ':' .. ARGV[8]
if ARGV[8] ~= '' then
  local before = redis.call('GET', remembered)
  if before then
    before = cjson.decode(before)
    if before.body ~= ARGV[9] then return {'conflict'} end
    return {'repeat', seen(before.ids)}
  end
end

local home = P .. ':tenant:' .. tenant
if redis.call('HGET', home, 'open') ~= '1' then
  if ARGV[4] ~= '1' then return {'unopened'} end
  open_tenant(tenant, ARGV[5], ARGV[6], ARGV[7])
end
local default = redis.call('HGET', home, 'queue')

local wanted, ids, new = {}, {}, {}
for i = 11, #ARGV, 5 do
  local queue = ARGV[i + 4]
  if queue == '' then queue = default end
  if not redis.call('ZSCORE', P .. ':queues:' .. tenant, queue) then return {'no-queue'} end
  ids[#ids + 1] = ARGV[i]
  if redis.call('EXISTS', P .. ':job:' .. ARGV[i]) == 0 then  -- else this call is a repeat after a lost answer
    wanted[queue] = (wanted[queue] or 0) + 1
    new[#new + 1] = {id = ARGV[i], spec = ARGV[i + 1], level = ARGV[i + 2], input = ARGV[i + 3], queue = queue}
  end
end
for queue, count in pairs(wanted) do
  local waiting = 0
  for level = 0, 2 do waiting = waiting + redis.call('ZCARD', P .. ':waiting:' .. queue .. ':' .. level) end
  if waiting + count > tonumber(redis.call('HGET', P .. ':queue:' .. queue, 'max_size')) then return {'full'} end
end

local last = tonumber(redis.call('GET', P .. ':last') or 0)
local found = {}
for _, job in ipairs(new) do
  last = math.max(NOW, last + 1)  -- never twice the same, never backwards
  local created = int(last)
  redis.call('HSET', P .. ':job:' .. job.id, 'v', 1, 'spec', job.spec, 'tenant', tenant, 'queue', job.queue,
    'level', job.level, 'input', job.input, 'state', 'Submitted', 'created', created)
  redis.call('ZADD', P .. ':index:' .. tenant .. ':all', created, job.id)
  redis.call('ZADD', P .. ':index:' .. tenant .. ':Submitted', created, job.id)
  redis.call('ZADD', P .. ':input:' .. tenant .. ':' .. job.input, created, job.id)
  redis.call('ZADD', P .. ':waiting:' .. job.queue .. ':' .. job.level, created, job.id)
  redis.call('HINCRBY', P .. ':counts', 'created', 1)
  event(job.id, '', 'Submitted')
  refresh(job.queue)
  -- More waiting than may run: each job that ends sends a wake-up for the next.
  local room = tonumber(redis.call('HGET', P .. ':queue:' .. job.queue, 'max_concurrent'))
    - redis.call('SCARD', P .. ':running:' .. job.queue)
  if redis.call('ZSCORE', P .. ':ready:' .. job.level, job.queue)
    and redis.call('ZCARD', P .. ':waiting:' .. job.queue .. ':' .. job.level) <= room then
    found[#found + 1] = {job.level, job.id}
  end
end
redis.call('SET', P .. ':last', int(last))
if ARGV[8] ~= '' then
  redis.call('SET', remembered, cjson.encode({body = ARGV[9], ids = ids}), 'EX', ARGV[10])
end
return {'ok', seen(ids), found}
