
-- Store jobs, all or none.
-- ARGV: 3 tenant, 4 open at first use (0/1), 5 queue id for a new tenant, 6 max_size, 7 max_concurrent,
--       8 tenants a region may have, 9 idempotency key ('' for none), 10 hash of the body, 11 seconds the key
--       is remembered, 12 whether to return the jobs (0/1), 13 credential, 14 its weight ('' if it has none),
--       15 jobs and 16 ms of audio that it may take today ('' for any number), 17 whether jobs are left out whose
--       origin is retried already (0/1), 18 bytes that the records of a tenant's jobs may take (0 for any), 19… for each job: id, spec, level, input hash,
--       queue id ('' for the default one), id of the job that it retries ('' for none), when it may start µs (''
--       for at once), when it is cancelled if it has not started µs ('' for never), batch id ('' for none), how long it
--       waits until it changes its level µs ('' for never), that level, what it wants of its worker
-- Returns {'ok', jobs, wake-ups, how many of the jobs there are now} | {'repeat', jobs} | {'conflict'}
--         | {'not-open'} | {'limit'} | {'no-queue'} | {'retried', id of a row, id of the job that retries it}
--         | {'spent'} | {'full'} | {'heavy'}

local COLUMNS = 12

-- The answer contains the jobs, so that the caller needs no read that could fail after they are stored. The caller
-- knows the specification of a new job, so only the rest is returned: {'new', {id, created, queue id, state}}. A job
-- that was stored before is {'stored', its record}; the record is empty if there is no such job.
local function jobs(ids, new)
  local out = {}
  if ARGV[12] == '1' then
    for i, id in ipairs(ids) do
      out[i] = new[id] and {'new', new[id]} or {'stored', view(id) or {}}
    end
  end
  return out
end

local tenant = ARGV[3]
local remembered = P .. ':idempotency:' .. tenant .. ':' .. ARGV[9]
if ARGV[9] ~= '' then
  local before = redis.call('GET', remembered)
  if before then
    before = cjson.decode(before)
    if before.body ~= ARGV[10] then return {'conflict'} end
    return {'repeat', jobs(before.ids, {})}
  end
end

local home = P .. ':tenant:' .. tenant
local open = redis.call('HGET', home, 'open')
if open ~= '1' then
  if open or ARGV[4] ~= '1' then return {'not-open'} end  -- one that was closed stays so
  if not has_budget(ARGV[13], ARGV[15], ARGV[16], (#ARGV - 18) / COLUMNS) then return {'spent'} end  -- opens nothing
  if not open_tenant(tenant, ARGV[5], ARGV[6], ARGV[7], ARGV[8]) then return {'limit'} end
end
local default = redis.call('HGET', home, 'queue')

local wanted, ids, new, retries = {}, {}, {}, {}
local known, counted = 0, 0  -- jobs that are stored already, new jobs that count for the budget
local share = ARGV[14] ~= '' and ARGV[13] or nil
for i = 19, #ARGV, COLUMNS do
  local queue = ARGV[i + 4]
  if queue == '' then queue = default end
  if wanted[queue] == nil then
    if not redis.call('ZSCORE', P .. ':queues:' .. tenant, queue) then return {'no-queue'} end
    wanted[queue] = 0
  end
  ids[#ids + 1] = ARGV[i]
  local batch = ARGV[i + 8] ~= '' and ARGV[i + 8] or nil
  local origin = ARGV[i + 5]
  local row = batch and origin == '' and fields(P .. ':batch:' .. batch, 'state', 'counted') or {}
  local retry = origin ~= '' and (retries[origin] or redis.call('HGET', P .. ':job:' .. origin, 'retried'))
  if redis.call('EXISTS', P .. ':job:' .. ARGV[i]) == 1 then
    known = known + 1  -- the call is repeated after a lost answer
  elseif row.state == 'Cancel' or (retry and ARGV[17] == '1') then
    -- Left out: a row that comes after the cancel of its batch is counted there, and one retry is enough.
  elseif retry and batch then
    return {'retried', origin, retry}  -- a row counts for one job
  else
    retries[origin] = ARGV[i]
    wanted[queue] = wanted[queue] + 1
    if not row.counted then counted = counted + 1 end
    new[#new + 1] = {id = ARGV[i], spec = ARGV[i + 1], level = ARGV[i + 2], input = ARGV[i + 3], queue = queue,
      origin = origin, starts = tonumber(ARGV[i + 6]), deadline = ARGV[i + 7],
      batch = batch, hop_after = tonumber(ARGV[i + 9]), hop_to = ARGV[i + 10], wants = ARGV[i + 11], share = share, tenant = tenant,
      state = 'Submitted'}
  end
end
if counted > 0 and not has_budget(ARGV[13], ARGV[15], ARGV[16], counted) then return {'spent'} end
if #new > 0 and not may_take_more(tenant, tonumber(ARGV[18])) then return {'heavy'} end
local before = {}  -- waiting jobs by line
for queue, count in pairs(wanted) do
  local all = redis.call('SCARD', P .. ':later:' .. queue)
  for level = 0, 2 do
    all = all + count_in_lines(queue, level)
  end
  if count > 0 and all + count > tonumber(redis.call('HGET', P .. ':queue:' .. queue, 'max_size')) then
    return {'full'}
  end
end
local more = {}  -- queue -> how many models more its jobs would want
for _, job in ipairs(new) do
  local wants, place = line_wants(job), job.queue .. ':' .. line_of(job)
  if not before[place] then
    before[place] = count_in_line(job.queue, line_of(job))
    if wants ~= '' and not more[job.queue .. '/' .. wants] and redis.call('HEXISTS', P .. ':wanted:' .. job.queue, wants) == 0 then
      more[job.queue .. '/' .. wants] = true
      more[job.queue] = (more[job.queue] or redis.call('HLEN', P .. ':wanted:' .. job.queue)) + 1
      if more[job.queue] > MAX_WANTED then return {'full'} end
    end
  end
end

if share and #new > 0 then redis.call('HSET', P .. ':share:' .. share, 'weight', ARGV[14]) end
local last, bytes = tonumber(redis.call('GET', P .. ':last') or 0), 0
for _, job in ipairs(new) do
  last = math.max(NOW, last + 1)  -- unique and increasing
  local created, key = int(last), P .. ':job:' .. job.id
  job.stored = last
  redis.call('HSET', key, 'v', RECORD_VERSION, 'spec', job.spec, 'tenant', tenant, 'wants', job.wants,
    'seal', seal(job.id, tenant, job.queue, job.spec), 'queue', job.queue, 'level', job.level, 'input', job.input, 'state', 'Submitted', 'created', created,
    'bytes', RECORD_BYTES + #job.spec)
  bytes = bytes + RECORD_BYTES + #job.spec
  redis.call('ZADD', P .. ':index:' .. tenant .. ':all', created, job.id)
  redis.call('ZADD', P .. ':index:' .. tenant .. ':Submitted', created, job.id)
  redis.call('ZADD', P .. ':input:' .. tenant .. ':' .. job.input, created, job.id)
  if share then redis.call('HSET', key, 'share', share) end
  count_wanted(job, true)
  if job.hop_after then
    redis.call('HSET', key, 'hop', job.hop_to)
    redis.call('ZADD', P .. ':hops', int(math.max(NOW, job.starts or 0) + job.hop_after), job.id)
  end
  if job.starts and job.starts > NOW then
    wait_until(job, job.starts)
  else
    job.created = created
    enqueue(job)
  end
  if job.batch then
    redis.call('HSET', key, 'batch', job.batch)
    redis.call('ZADD', P .. ':batch-jobs:' .. job.batch, created, job.id)
    redis.call('SADD', P .. ':batch-waiting:' .. job.batch, job.id)
    count_in_batch(job.batch, 'Submitted', 1)
    if job.origin == '' then count_in_batch(job.batch, 'made', 1) end
  end
  if job.deadline ~= '' then
    redis.call('HSET', key, 'deadline', job.deadline)
    redis.call('ZADD', P .. ':deadlines', job.deadline, job.id)
  end
  if job.origin ~= '' and redis.call('EXISTS', P .. ':job:' .. job.origin) == 1 then
    local origin = fields(P .. ':job:' .. job.origin, 'batch', 'state')
    redis.call('HSET', P .. ':job:' .. job.origin, 'retried', job.id)
    if job.batch and origin.batch == job.batch then  -- its row counts for the new job now
      count_in_batch(job.batch, origin.state, -1)
      reopen_batch(job.batch)
    end
  end
  publish_job(job)
end
redis.call('SET', P .. ':last', int(last))
if bytes > 0 then redis.pcall('HINCRBY', P .. ':kept', tenant, bytes) end
redis.call('HINCRBY', P .. ':counts', 'created', #new)
if counted > 0 then use(tenant, ARGV[13], 'jobs', counted) end
redis.call('HINCRBY', P .. ':sums', 'state:Submitted', #new)
for queue in pairs(wanted) do refresh(queue) end
if tonumber(ARGV[18]) > 0 then make_room(tenant, tonumber(ARGV[18]), #new * 10) end

-- With more waiting than may run, the end of each job sends the wake-up for the next.
local found, rooms = {}, {}
for _, job in ipairs(new) do
  local place = job.queue .. ':' .. line_of(job)
  local waits = job.starts and job.starts > NOW
  if not waits then before[place] = before[place] + 1 end
  if not rooms[place] then rooms[place] = room(job.queue, tonumber(job.level)) end
  local wants = line_wants(job)
  if not waits and before[place] <= rooms[place] and redis.call('ZSCORE', P .. ':ready:' .. line_of(job), job.queue)
    and (wants == '' or is_served(wants)) then
    found[#found + 1] = {job.level, job.id, wants}
  end
end
if ARGV[9] ~= '' then
  redis.call('SET', remembered, cjson.encode({body = ARGV[10], ids = ids}), 'EX', ARGV[11])
end
local rows = {}
for _, job in ipairs(new) do
  rows[job.id] = {job.id, int(job.stored), job.queue, is_paused(job.queue, job.batch) and 'Pause' or 'Submitted'}
end
return {'ok', jobs(ids, rows), found, known + #new}
