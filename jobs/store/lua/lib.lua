
-- Shared functions. ARGV[1] is P; ARGV[2] is the time in µs, 0 for the server's own. A script's own arguments
-- begin with ARGV[3]. Constants in capitals are written above this text by scripts.py.

local P = ARGV[1]
local NOW = tonumber(ARGV[2])
if NOW == 0 then
  local t = redis.call('TIME')
  NOW = tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function int(n) return string.format('%.0f', n) end

local function number(n) return string.format('%.17g', n) end

local function fields(key, ...)
  local names, values = {...}, redis.call('HMGET', key, ...)
  local out = {}
  for i, name in ipairs(names) do out[name] = values[i] or nil end
  return out
end

-- Stop before anything of a newer record is used. scripts.py turns this text into an error of its own.
local function check_version(id, version)
  if version and tonumber(version) > RECORD_VERSION then
    error('record ' .. id .. ' has version ' .. version)
  end
end

-- Some fields of a job, with its id, or nil.
local function job_fields(id, ...)
  local job = fields(P .. ':job:' .. id, 'v', 'state', ...)
  if not job.state then return nil end
  check_version(id, job.v)
  job.id = id
  return job
end

local function load(id)
  return job_fields(id, 'tenant', 'queue', 'level', 'created', 'attempt', 'token', 'cancel', 'input', 'progress',
    'deadline', 'batch', 'share', 'wants', 'apart')
end

-- Lines. The waiting jobs of a queue and level that want what Spleeter's networks answer stand in the common line, which
-- is named by the level alone: '1'. Those that want another model have a line of their own: '1/htdemucs'. So do
-- common jobs that a worker met which does not serve them.

-- What a job of a specification wants of its worker.
local function wants_in(text)
  local is_json, spec = pcall(cjson.decode, text or '')
  local separate = is_json and type(spec) == 'table' and type(spec.separate) == 'table' and spec.separate or {}
  local mode = separate.audio_mode == 'MusicMode' and 'MusicMode' or 'AudioAndBackground'
  return type(separate.model) == 'string' and separate.model or mode
end

-- What a job wants of its worker. An earlier release did not record it.
local function wants_of(job)
  job.wants = job.wants or wants_in(redis.call('HGET', P .. ':job:' .. job.id, 'spec'))
  return job.wants
end

local function line_named(level, wants) return wants == '' and tostring(level) or level .. '/' .. wants end

-- What the line of a waiting job is named after beside its level: what the job wants, or '' for the common line.
local function line_wants(job)
  local wants = wants_of(job)
  return COMMON[wants] and job.apart ~= '1' and '' or wants
end

local function line_of(job) return line_named(job.level, line_wants(job)) end

-- The lines of a queue and level.
local function lines_of(queue, level)
  local lines = {tostring(level)}
  for _, wants in ipairs(redis.call('HKEYS', P .. ':wanted:' .. queue)) do
    lines[#lines + 1] = line_named(level, wants)
  end
  return lines
end

-- Add to the number of waiting jobs of a queue that want the same and do not stand in the common line.
local function add_wanted(queue, wants, number)
  local of_queue = P .. ':wanted:' .. queue
  if redis.call('HINCRBY', of_queue, wants, number) <= 0 then
    redis.call('HDEL', of_queue, wants)
    for level = 0, 2 do redis.call('ZREM', P .. ':ready:' .. line_named(level, wants), queue) end
  end
  if tonumber(redis.call('ZINCRBY', P .. ':wanted', number, wants)) <= 0 then redis.call('ZREM', P .. ':wanted', wants) end
end

-- Count a waiting job there, or no longer. An earlier release changes jobs without counting them, so each says whether
-- it is counted.
local function count_wanted(job, is_waiting)
  local wants = line_wants(job)
  if wants == '' then return end
  local key = P .. ':job:' .. job.id
  if is_waiting then
    if redis.call('HSETNX', key, 'counted', 1) == 1 then add_wanted(job.queue, wants, 1) end
  elseif redis.call('HDEL', key, 'counted') == 1 then
    add_wanted(job.queue, wants, -1)
  end
end

-- Whether workers that live announce something but none what is asked for. A worker of an earlier release announces
-- nothing, and does the common jobs.
local announcing
local function all_announce()
  if announcing ~= nil then return announcing end
  local names = redis.call('ZREVRANGEBYSCORE', P .. ':workers', '+inf', int(NOW - ALIVE), 'LIMIT', 0, 500)
  announcing = false
  for _, name in ipairs(names) do
    local is_json, worker = pcall(cjson.decode, redis.call('HGET', P .. ':worker-reports', name) or '')
    if is_json and type(worker) == 'table' and worker.kind == 'separation' then
      if type(worker.serves) ~= 'table' then
        announcing = false
        return false
      end
      announcing = true
    end
  end
  return announcing
end

-- Whether a worker that lives serves what a job wants. Of the common jobs this is assumed while no worker is known.
local known_served = {}
local function is_served(wants)
  if known_served[wants] == nil then
    local seen = redis.call('ZSCORE', P .. ':served', wants)
    known_served[wants] = (seen and tonumber(seen) > NOW - ALIVE) or (COMMON[wants] and not all_announce()) or false
  end
  return known_served[wants]
end

-- What waiting jobs want that do not stand in the common line, the most wanted first, as {what, waiting jobs, whether a
-- worker that lives serves it (0/1)} of each.
local function demands(limit)
  local found = {}
  local rows = redis.call('ZREVRANGE', P .. ':wanted', 0, tonumber(limit) - 1, 'WITHSCORES')
  for i = 1, #rows, 2 do
    found[#found + 1] = {rows[i], int(tonumber(rows[i + 1])), is_served(rows[i]) and 1 or 0}
  end
  return found
end

-- What a record keeps to tell whether its id, tenant, queue and specification are those that were submitted.
local function seal(id, tenant, queue, spec)
  return redis.sha1hex(id .. ' ' .. (tenant or '') .. ' ' .. (queue or '') .. ' ' .. (spec or ''))
end

-- What a queue adds to P:sums, in the order in which P:loads keeps it.
local LOAD = {'waiting:0', 'waiting:1', 'waiting:2', 'running', 'max_concurrent', 'paused', 'paused_waiting',
  'startable:0', 'startable:1', 'startable:2', 'queues'}

-- Keep the sums over all queues, by the difference to what this queue added before.
local function count_load(queue, q, slots, waiting)
  local all, running, taken = waiting[0] + waiting[1] + waiting[2], slots.running, {[0] = 0, 0, 0}
  local paused = q.state ~= 'Active' and 1 or 0
  local paused_jobs = paused * (all + redis.call('SCARD', P .. ':later:' .. queue))
  local load = {waiting[0], waiting[1], waiting[2], running, slots.most, paused, paused_jobs}
  for level = 2, 0, -1 do  -- the room of a queue counts once, for its highest level first
    taken[level] = paused == 1 and 0 or math.min(math.max(0, slots.room(level, taken)), waiting[level])
    load[8 + level] = taken[level]
  end
  load[11] = 1
  local text = table.concat(load, ' ')
  local before = redis.call('HGET', P .. ':loads', queue) or ''
  if before == text then return end
  local i = 0
  for value in string.gmatch(before, '%S+') do
    i = i + 1
    if tonumber(value) ~= load[i] then redis.call('HINCRBY', P .. ':sums', LOAD[i], load[i] - tonumber(value)) end
  end
  if i == 0 then
    for field, value in ipairs(load) do redis.call('HINCRBY', P .. ':sums', LOAD[field], value) end
  end
  redis.call('HSET', P .. ':loads', queue, text)
  redis.call('ZADD', P .. ':busiest', -(all + running), queue)
end

-- Whether waiting jobs of a queue, or of a batch if one is given, may not start.
local function is_paused(queue, batch)
  return redis.call('HGET', P .. ':queue:' .. queue, 'state') == 'Paused'
    or (batch and redis.call('HGET', P .. ':batch:' .. batch, 'state') == 'Paused')
end

local kept = {}  -- tenants whose stream this script has kept from expiring

-- Publish an event to the listeners of a tenant. Entries have the same fields, which a stream keeps once for many.
local function publish_event(tenant, kind, id, state, progress, stage, code)
  local stream = P .. ':events:' .. tenant
  redis.call('XADD', stream, 'MAXLEN', '~', EVENTS_KEPT, '*', 'kind', kind, 'id', id, 'state', state,
    'progress', progress, 'stage', stage, 'code', code)
  if not kept[tenant] then redis.call('PEXPIRE', stream, EVENTS_MS) end
  kept[tenant] = true
end

-- Publish the state of a job as clients see it.
local function publish_job(job, progress, stage, code)
  local state = job.state
  if state == 'Submitted' and is_paused(job.queue, job.batch) then state = 'Pause' end
  publish_event(job.tenant, 'job', job.id, state, progress or 0, stage or '', code or 'Success')
end

-- Keep a step of a job.
local function note(id, kind, text)
  local key = P .. ':history:' .. id
  redis.call('RPUSH', key, int(NOW) .. ' ' .. kind .. ' ' .. text)
  redis.call('LTRIM', key, -STEPS_KEPT, -1)
end

-- Where the stream of a tenant ends now.
local function events_end(tenant)
  local last = redis.call('XREVRANGE', P .. ':events:' .. tenant, '+', '-', 'COUNT', 1)
  if last[1] then return last[1][1] end
  local t = redis.call('TIME')  -- entries are named by the server's clock, whatever NOW is
  return int(tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000) - 1) .. '-0'
end

local DAY = 86400000000

local TODAY = int(math.floor(NOW / DAY))

-- Add to what the jobs of a credential took today, or on a day before.
local function use(tenant, credential, what, number, day)
  day = day or TODAY
  local key = P .. ':usage:' .. tenant .. ':' .. day
  redis.call('HINCRBY', key, credential .. '|' .. what, int(number))
  redis.call('PEXPIRE', key, 400 * 86400000)
  if what ~= 'jobs' and what ~= 'succeeded' and what ~= 'failed' then
    redis.call('HINCRBY', P .. ':counts', what, int(number))
  end
  if what == 'jobs' or what == 'audio_ms' then
    local spent = P .. ':spent:' .. credential .. ':' .. day
    redis.call('HINCRBY', spent, what, int(number))
    redis.call('PEXPIRE', spent, 2 * 86400000)
  end
end

-- Slots of a queue: `running` and `most`, and `room`, which returns how many further jobs of a level may run once
-- `taken` jobs of each level do too. A level leaves to those above it the slots that are reserved for them and free;
-- one slot is always for all.
local function slots_of(queue, q)
  local slots = {running = redis.call('SCARD', P .. ':running:' .. queue), most = tonumber(q.max_concurrent)}
  local unused = {[0] = 0, 0, 0}
  for level = 1, 2 do
    local reserved = tonumber(q['reserved:' .. level] or 0)
    if reserved > 0 then unused[level] = reserved - redis.call('SCARD', P .. ':running:' .. queue .. ':' .. level) end
  end
  function slots.room(level, taken)
    local kept, more = 0, taken and taken[0] + taken[1] + taken[2] or 0
    for higher = level + 1, 2 do kept = kept + math.max(0, unused[higher] - (taken and taken[higher] or 0)) end
    return slots.most - slots.running - more - math.min(kept, slots.most - 1)
  end
  return slots
end

-- How many further jobs of a level a queue may run.
local function room(queue, level)
  return slots_of(queue, fields(P .. ':queue:' .. queue, 'max_concurrent', 'reserved:1', 'reserved:2')).room(level)
end

-- Shares. Jobs whose credential has a weight wait in a list of their own for each queue and level; all others wait
-- together in P:waiting, which is the share ''. Shares take turns as queues do.

-- How far one job moves a turn, in millionths of what it moves that of the usual weight. Whole, so that sums are exact.
local function step(weight) return math.floor(1e6 * USUAL_WEIGHT / weight + 0.5) end

local function weight_of(share)
  if share == '' then return USUAL_WEIGHT end
  local found = fields(P .. ':share:' .. share, 'weight', 'temporary', 'until')
  if found['until'] and tonumber(found['until']) > NOW then return tonumber(found.temporary) end
  return tonumber(found.weight or USUAL_WEIGHT)
end

-- The list of a share in which jobs wait, `place` being queue:line.
local function list_of(place, share)
  return share == '' and P .. ':waiting:' .. place or P .. ':weighted:' .. place .. ':' .. share
end

-- The turn of a share that has waiting jobs. Turns that pass while it has none are not made up for.
local function turn_of(queue, level, share)
  local found = fields(P .. ':share-turns:' .. queue, tostring(level), level .. ':' .. share)
  return math.max(tonumber(found[tostring(level)] or 0), tonumber(found[level .. ':' .. share] or 0))
end

-- Put a job where claims find it.
local function line_up(job)
  local place, share = job.queue .. ':' .. line_of(job), job.share or ''
  redis.call('ZADD', list_of(place, share), job.created, job.id)
  if share == '' then return end
  redis.call('ZADD', P .. ':weighted:' .. place, job.created, job.id)
  if not redis.call('ZSCORE', P .. ':shares:' .. place, share) then
    redis.call('ZADD', P .. ':shares:' .. place, int(turn_of(job.queue, job.level, share)), share)
  end
end

-- Take a job from a line. Returns whether it was there.
local function leave_line(job, line)
  local place, share = job.queue .. ':' .. line, job.share or ''
  local list = list_of(place, share)
  local was = redis.call('ZREM', list, job.id) == 1
  if share == '' then return was end
  redis.call('ZREM', P .. ':weighted:' .. place, job.id)
  if redis.call('EXISTS', list) == 0 then redis.call('ZREM', P .. ':shares:' .. place, share) end
  return was
end

-- Take a job from where claims find it. Returns whether it was there.
local function step_out(job)
  local was = leave_line(job, line_of(job))
  -- A worker of an earlier release puts a job back into the common line, whatever it wants.
  if not was and line_wants(job) ~= '' then was = leave_line(job, job.level) end
  return was
end

-- The job of a line whose turn it is: id, created, and the share with its turn if there are several.
local function first_in_line(queue, level, line)
  local place = queue .. ':' .. line
  local plain = redis.call('ZRANGE', list_of(place, ''), 0, 0, 'WITHSCORES')
  local next = redis.call('ZRANGE', P .. ':shares:' .. place, 0, 0, 'WITHSCORES')
  if not next[1] then return plain[1] and {id = plain[1], created = tonumber(plain[2])} end
  local turn = plain[1] and turn_of(queue, level, '')
  if turn and turn <= tonumber(next[2]) then
    return {id = plain[1], created = tonumber(plain[2]), share = '', turn = turn}
  end
  local first = redis.call('ZRANGE', list_of(place, next[1]), 0, 0, 'WITHSCORES')
  return {id = first[1], created = tonumber(first[2]), share = next[1], turn = tonumber(next[2])}
end

-- The same over several lines of a queue and level, with its line. Between lines the turn of the share decides, if there
-- are several shares in one of them, then the age.
local function first_in_lines(queue, level, lines)
  local found, has_shares = {}, false
  for _, line in ipairs(lines) do
    local first = first_in_line(queue, level, line)
    if first then
      first.line = line
      found[#found + 1] = first
      has_shares = has_shares or first.share ~= nil
    end
  end
  local best
  for _, first in ipairs(found) do
    if has_shares and not first.share then first.share, first.turn = '', turn_of(queue, level, '') end
    local is_before = not best
    if best and has_shares and first.turn ~= best.turn then
      is_before = first.turn < best.turn
    elseif best and has_shares and first.share ~= best.share then
      is_before = first.share < best.share
    elseif best then
      is_before = first.created < best.created
    end
    if is_before then best = first end
  end
  return best
end

-- Move the turn of the share of a job that was first in line, after it has left the line. Turns that passed while no
-- worker served its line are not made up for.
local function end_turn(queue, level, job)
  if not job.share then return end
  local turns = P .. ':share-turns:' .. queue
  local last = math.max(job.turn, tonumber(redis.call('HGET', turns, level) or 0))
  local after = int(last + step(weight_of(job.share)))
  redis.call('HSET', turns, level, int(last), level .. ':' .. job.share, after)
  for _, line in ipairs(lines_of(queue, level)) do
    redis.call('ZADD', P .. ':shares:' .. queue .. ':' .. line, 'XX', after, job.share)
  end
end

-- Jobs of its line that are claimed before a waiting one; nil if it is not in line. For each share one division,
-- because the turn of its n-th job is known.
local function ahead_in_line(job)
  local place, own = job.queue .. ':' .. line_of(job), job.share or ''
  local ahead = redis.call('ZRANK', list_of(place, own), job.id)
  local shares = ahead and redis.call('ZRANGE', P .. ':shares:' .. place, 0, -1, 'WITHSCORES')
  if not ahead or #shares == 0 then return ahead or nil end
  if redis.call('EXISTS', list_of(place, '')) == 1 then
    shares[#shares + 1] = ''
    shares[#shares + 1] = turn_of(job.queue, job.level, '')
  end
  local turns = {}
  for i = 1, #shares, 2 do turns[shares[i]] = tonumber(shares[i + 1]) end
  local mine = turns[own] + ahead * step(weight_of(own))
  for share, turn in pairs(turns) do
    if share ~= own and turn <= mine then
      local length = step(weight_of(share))
      local count = math.floor((mine - turn) / length) + 1
      if (mine - turn) % length == 0 and share > own then count = count - 1 end
      ahead = ahead + math.min(count, redis.call('ZCARD', list_of(place, share)))
    end
  end
  return ahead
end

local function count_in_line(queue, line)
  local place = queue .. ':' .. line
  return redis.call('ZCARD', P .. ':waiting:' .. place) + redis.call('ZCARD', P .. ':weighted:' .. place)
end

local function count_in_lines(queue, level)
  local count = 0
  for _, line in ipairs(lines_of(queue, level)) do count = count + count_in_line(queue, line) end
  return count
end

-- The creation time of the oldest job in line, or nil.
local function oldest_in_line(queue, line)
  local place = queue .. ':' .. line
  local plain = redis.call('ZRANGE', P .. ':waiting:' .. place, 0, 0, 'WITHSCORES')[2]
  local weighted = redis.call('ZRANGE', P .. ':weighted:' .. place, 0, 0, 'WITHSCORES')[2]
  if plain and weighted then return tonumber(weighted) < tonumber(plain) and weighted or plain end
  return plain or weighted
end

local function oldest_in_lines(queue, level)
  local oldest
  for _, line in ipairs(lines_of(queue, level)) do
    local first = oldest_in_line(queue, line)
    if first and (not oldest or tonumber(first) < tonumber(oldest)) then oldest = first end
  end
  return oldest
end

-- Whether what a credential may take today has room for some more jobs. Limits of jobs and of audio, ms; '' for none.
local function has_budget(credential, jobs, audio_ms, number)
  if jobs == '' and audio_ms == '' then return true end
  local spent = fields(P .. ':spent:' .. credential .. ':' .. TODAY, 'jobs', 'audio_ms')
  if audio_ms ~= '' and tonumber(spent.audio_ms or 0) >= tonumber(audio_ms) then return false end
  return jobs == '' or tonumber(spent.jobs or 0) + number <= tonumber(jobs)
end

-- Update whether a queue is ready at each level, and what it adds to the sums; to be called after any change of
-- the queue or its jobs.
local function refresh(queue)
  local q = fields(P .. ':queue:' .. queue, 'state', 'max_concurrent', 'turn:0', 'turn:1', 'turn:2', 'reserved:1',
    'reserved:2')
  local slots, waiting, wanted = slots_of(queue, q), {}, redis.call('HKEYS', P .. ':wanted:' .. queue)
  for level = 0, 2 do
    local oldest, room, turn
    waiting[level] = 0
    for i = 0, #wanted do
      local line = line_named(level, wanted[i] or '')
      local ready, first = P .. ':ready:' .. line, oldest_in_line(queue, line)
      if first then
        waiting[level] = waiting[level] + count_in_line(queue, line)
        if not oldest or tonumber(first) < tonumber(oldest) then oldest = first end
        room = room or slots.room(level)
      end
      if first and q.state == 'Active' and room > 0 then
        if not redis.call('ZSCORE', ready, queue) then
          -- Turns that pass while a queue is not ready are not made up for.
          turn = turn or math.max(tonumber(q['turn:' .. level] or 0), tonumber(redis.call('HGET', P .. ':turn', level) or 0))
          redis.call('ZADD', ready, number(turn), queue)
        end
      else
        redis.call('ZREM', ready, queue)
      end
    end
    if oldest and q.state == 'Active' then
      redis.call('ZADD', P .. ':oldest:' .. level, oldest, queue)
    else
      redis.call('ZREM', P .. ':oldest:' .. level, queue)
    end
  end
  count_load(queue, q, slots, waiting)
end

local function append(list, items)
  for _, item in ipairs(items) do list[#list + 1] = item end
end

-- Wake-ups as {level, job id, what the line is named after}: one for each waiting job of a line that may start now,
-- `limit` at most; none where no worker would take them.
local function wake_ups_of(queue, level, wants, limit)
  local line = line_named(level, wants)
  if not redis.call('ZSCORE', P .. ':ready:' .. line, queue) then return {} end
  if wants ~= '' and not is_served(wants) then return {} end
  local count = math.min(room(queue, tonumber(level)), limit)
  local out = {}
  for _, kind in ipairs({':waiting:', ':weighted:'}) do
    if count > #out then
      for _, id in ipairs(redis.call('ZRANGE', P .. kind .. queue .. ':' .. line, 0, count - #out - 1)) do
        out[#out + 1] = {tostring(level), id, wants}
      end
    end
  end
  return out
end

-- The same of all lines of a queue and level, `limit` of each.
local function wake_ups(queue, level, limit)
  local out = wake_ups_of(queue, level, '', limit)
  for _, wants in ipairs(redis.call('HKEYS', P .. ':wanted:' .. queue)) do
    append(out, wake_ups_of(queue, level, wants, limit))
  end
  return out
end

local DELIVERY_STATUSES = {'pending', 'delivered', 'dead'}

-- File a delivery by its status, for lists.
local function file_delivery(delivery, tenant, created, status)
  for _, each in ipairs(DELIVERY_STATUSES) do
    local key = P .. ':deliveries:' .. tenant .. ':' .. each
    if each == status then redis.call('ZADD', key, created, delivery) else redis.call('ZREM', key, delivery) end
  end
  local given_up = P .. ':deliveries:' .. tenant .. ':given-up'
  local at = status == 'dead' and redis.call('ZSCORE', P .. ':dead', delivery)
  if at then redis.call('ZADD', given_up, at, delivery) else redis.call('ZREM', given_up, delivery) end
end

-- Record uploads of the current attempt that could not be removed from their bucket, for later sweeps. JSON, or ''.
local function leave(job, uploads)
  if uploads == '' then return end
  local id = job.id .. ':' .. job.token
  redis.call('HSET', P .. ':leftover:' .. id, 'job', job.id, 'token', job.token, 'uploads', uploads,
    'since', int(NOW), 'tries', 0)
  redis.call('ZADD', P .. ':leftovers', int(NOW + LEFTOVER_WAIT), id)
end

-- Note when a delivery is due ('' for never): among all, and among those of its tenant.
local function set_due(delivery, tenant, due)
  local own = P .. ':outbox:' .. tenant
  for _, key in ipairs({P .. ':outbox', own}) do
    if due == '' then redis.call('ZREM', key, delivery) else redis.call('ZADD', key, due, delivery) end
  end
  local first = redis.call('ZRANGE', own, 0, 0, 'WITHSCORES')
  if first[1] then
    redis.call('ZADD', P .. ':outboxes', first[2], tenant)
  else
    redis.call('ZREM', P .. ':outboxes', tenant)
  end
end

-- Put a callback into the outbox.
local function announce(delivery, subject, tenant, target)
  redis.call('HSET', P .. ':delivery:' .. delivery, 'job', subject, 'tenant', tenant, 'target', target,
    'created', int(NOW), 'due', int(NOW), 'status', 'pending')
  set_due(delivery, tenant, int(NOW))
  file_delivery(delivery, tenant, int(NOW), 'pending')
end

-- What the batches of a tenant hold of rows that are not jobs yet, without one of them: batches, rows, bytes.
local function held_rows(tenant, except)
  local key = P .. ':held-rows:' .. tenant
  local batches, rows, bytes = 0, 0, 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if redis.call('EXISTS', P .. ':batch:' .. all[i]) == 0 then
      redis.call('HDEL', key, all[i])  -- an upload that broke off long ago
    elseif all[i] ~= except then
      local own_rows, own_bytes = string.match(all[i + 1], '^(%d+) (%d+)$')
      batches, rows, bytes = batches + 1, rows + tonumber(own_rows), bytes + tonumber(own_bytes)
    end
  end
  return batches, rows, bytes
end

local function delete_callback(delivery)
  local tenant = redis.call('HGET', P .. ':delivery:' .. delivery, 'tenant')
  if tenant then
    file_delivery(delivery, tenant, 0, '')
    set_due(delivery, tenant, '')
  end
  redis.call('DEL', P .. ':delivery:' .. delivery, P .. ':attempts:' .. delivery)
  redis.call('ZREM', P .. ':dead', delivery)
end

-- Count what the record of a job takes more. A number that a disk has damaged keeps no job from its end.
local function weigh(job, bytes)
  redis.pcall('HINCRBY', P .. ':job:' .. job.id, 'bytes', bytes)
  redis.pcall('HINCRBY', P .. ':kept', job.tenant, bytes)
end

-- Delete an ended job with everything that refers to it.
local function delete_job(id)
  local job = load(id)
  redis.call('ZREM', P .. ':ended', id)
  if not job then return end
  local all = P .. ':index:' .. job.tenant .. ':all'
  redis.call('ZREM', all, id)
  redis.call('ZREM', P .. ':index:' .. job.tenant .. ':' .. job.state, id)
  redis.call('ZREM', P .. ':input:' .. job.tenant .. ':' .. job.input, id)
  if job.batch then redis.call('ZREM', P .. ':batch-jobs:' .. job.batch, id) end
  local known = fields(P .. ':job:' .. id, 'digest', 'bytes')
  local reuse = known.digest and P .. ':reuse:' .. job.tenant .. ':' .. known.digest
  if reuse and redis.call('GET', reuse) == id then redis.call('DEL', reuse) end
  if redis.call('EXISTS', all) == 0 then
    redis.call('HDEL', P .. ':kept', job.tenant)
  else
    redis.pcall('HINCRBY', P .. ':kept', job.tenant, -(tonumber(known.bytes) or 0))
  end
  redis.call('DEL', P .. ':job:' .. id, P .. ':waveforms:' .. id, P .. ':history:' .. id)
  redis.call('HINCRBY', P .. ':sums', 'state:' .. job.state, -1)
  delete_callback('d' .. string.sub(id, 2))
end

local function delete_batch(id)
  local key = P .. ':batch:' .. id
  redis.call('ZREM', P .. ':batches:' .. (redis.call('HGET', key, 'tenant') or ''), id)
  redis.call('ZREM', P .. ':batches-ended', id)
  redis.call('DEL', key, P .. ':batch-rows:' .. id, P .. ':batch-jobs:' .. id, P .. ':batch-waiting:' .. id)
  delete_callback('d' .. string.sub(id, 2))
end

-- Delete the oldest ended jobs of a tenant whose records take more than `most` bytes, `limit` of them at most.
local function make_room(tenant, most, limit)
  for _ = 1, limit do
    if tonumber(redis.call('HGET', P .. ':kept', tenant) or 0) <= most then return end
    local oldest, at
    for _, state in ipairs({'Success', 'Failed', 'Cancel'}) do
      local first = redis.call('ZRANGE', P .. ':index:' .. tenant .. ':' .. state, 0, 0, 'WITHSCORES')
      if first[1] and (not at or tonumber(first[2]) < at) then oldest, at = first[1], tonumber(first[2]) end
    end
    if not oldest then return end
    delete_job(oldest)
  end
end

-- Whether a tenant may get further jobs: what has not ended cannot make room.
local function may_take_more(tenant, most)
  if most == 0 or tonumber(redis.call('HGET', P .. ':kept', tenant) or 0) <= most then return true end
  for _, state in ipairs({'Success', 'Failed', 'Cancel'}) do
    if redis.call('ZCARD', P .. ':index:' .. tenant .. ':' .. state) > 0 then return true end
  end
  return false
end

-- Count the rows of a batch by the states of their jobs.
local function count_in_batch(batch, state, number)
  if redis.call('EXISTS', P .. ':batch:' .. batch) == 1 then
    redis.call('HINCRBY', P .. ':batch:' .. batch, 'n:' .. state, number)
  end
end

-- End a batch when all of its rows have ended, and put its callback into the outbox.
local function end_batch(batch)
  local key = P .. ':batch:' .. batch
  local b = fields(key, 'state', 'rows', 'fed', 'ended', 'target', 'tenant', 'n:Success', 'n:Failed', 'n:Cancel')
  if not b.state or b.state == 'Loading' or b.ended or b.fed ~= b.rows then return end
  local over = tonumber(b['n:Success'] or 0) + tonumber(b['n:Failed'] or 0) + tonumber(b['n:Cancel'] or 0)
  if over < tonumber(b.rows) then return end
  redis.call('HSET', key, 'ended', int(NOW), 'state', b.state == 'Cancel' and 'Cancel' or 'Done')
  redis.call('ZADD', P .. ':batches-ended', int(NOW), batch)
  publish_event(b.tenant, 'batch', batch, b.state == 'Cancel' and 'Cancel' or 'Done', 100, '', '')
  if b.target and b.target ~= '' then announce('d' .. string.sub(batch, 2), batch, b.tenant, b.target) end
  local surplus = redis.call('ZCARD', P .. ':batches:' .. b.tenant) - BATCHES_KEPT
  if surplus <= 0 then return end
  for _, id in ipairs(redis.call('ZRANGE', P .. ':batches:' .. b.tenant, 0, 99)) do
    if surplus > 0 and id ~= batch and redis.call('ZSCORE', P .. ':batches-ended', id) then
      delete_batch(id)
      surplus = surplus - 1
    end
  end
end

-- Let a batch that has ended go on, because one of its rows does. Its end is not announced before it ends again.
local function reopen_batch(batch)
  local key = P .. ':batch:' .. batch
  if redis.call('HEXISTS', key, 'ended') == 0 then return end
  redis.call('HSET', key, 'state', 'Active')
  redis.call('HDEL', key, 'ended')
  redis.call('ZREM', P .. ':batches-ended', batch)
  local delivery = 'd' .. string.sub(batch, 2)
  if redis.call('HGET', P .. ':delivery:' .. delivery, 'status') == 'pending' then delete_callback(delivery) end
end

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

-- A job's record as clients see it, as a flat list with its id, or nil.
local function view(id)
  local record = redis.call('HGETALL', P .. ':job:' .. id)
  if #record == 0 then return nil end
  local at = {}
  for i = 1, #record, 2 do at[record[i]] = i + 1 end
  check_version(id, record[at.v])
  if record[at.state] == 'Submitted' and is_paused(record[at.queue], at.batch and record[at.batch]) then
    record[at.state] = 'Pause'
  end
  append(record, {'id', id})
  return record
end

-- Jobs of its queue, of lines named alike, that are claimed before a waiting one, by the rule of claim.lua; nil if it is
-- not claimable.
-- Ageing in µs; 0 for none. O(log n). With ageing and several shares of another level it is an estimate.
local function jobs_ahead(job, ageing)
  local ahead, level, created = ahead_in_line(job), tonumber(job.level), tonumber(job.created)
  if not ahead then return nil end
  local wants = line_wants(job)
  for other = 0, 2 do
    local line = line_named(other, wants)
    if other > level and ageing == 0 then
      ahead = ahead + count_in_line(job.queue, line)
    elseif other ~= level and ageing > 0 then
      -- Those that rank higher were created by `higher`; those of the same rank by `same`, and before this one.
      local rank = level + math.floor(math.max(0, NOW - created) / ageing)
      local higher = NOW - (rank - other + 1) * ageing
      local same = math.min(higher + ageing, created - 1)
      for _, kind in ipairs({':waiting:', ':weighted:'}) do
        local list = P .. kind .. job.queue .. ':' .. line
        ahead = ahead + redis.call('ZCOUNT', list, '-inf', int(math.max(higher, same)))
      end
    end
  end
  return ahead
end

-- A record as view returns it, of a job that is not over with what its estimates are made from.
local function shown(id, ageing)
  local record = view(id)
  if not record then return nil end
  local at = {}
  for i = 1, #record, 2 do at[record[i]] = record[i + 1] end
  if at.state == 'Submitted' or at.state == 'Pause' or at.state == 'Running' then
    local ahead
    if at.state ~= 'Running' then
      ahead = jobs_ahead(at, tonumber(ageing))
    end
    local wants = wants_of(at)
    local means = redis.call('HMGET', P .. ':queue:' .. at.queue, 'mean_run', 'mean_run:' .. wants)
    append(record, {'now', int(NOW), 'running', int(redis.call('SCARD', P .. ':running:' .. at.queue))})
    if ahead then append(record, {'ahead', int(ahead)}) end
    if means[2] or means[1] then append(record, {'mean_run', means[2] or means[1]}) end
    if at.state ~= 'Running' and not is_served(wants) then append(record, {'unserved', wants}) end
  end
  return record
end

-- Which jobs of a tenant a filter means. ARGV from `first`: queue id, input hash, level, prefix of the input object
-- ('' for all of each), whether only jobs that are not retried (0/1), batch id ('' for all), states as clients see them (none for all).
-- Returns the indexes to read, and a function that returns whether a job matches.
local function criteria(tenant, first)
  local queue, input, level, prefix = ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]
  local unretried, batch = ARGV[first + 4], ARGV[first + 5]
  local wanted, sources = nil, {}
  for i = first + 6, #ARGV do
    wanted = wanted or {}
    wanted[ARGV[i]] = true
    sources[P .. ':index:' .. tenant .. ':' .. (ARGV[i] == 'Pause' and 'Submitted' or ARGV[i])] = true
  end
  if not wanted then sources = {[P .. ':index:' .. tenant .. ':all'] = true} end
  if input ~= '' then sources = {[P .. ':input:' .. tenant .. ':' .. input] = true} end
  if batch ~= '' then sources = {[P .. ':batch-jobs:' .. batch] = true} end
  local paused = {}
  local function matches(id)
    local job = job_fields(id, 'tenant', 'queue', 'level', 'retried', 'batch', prefix ~= '' and 'spec' or 'v')
    if not job or job.tenant ~= tenant or (batch ~= '' and job.batch ~= batch) then return false end
    if queue ~= '' and job.queue ~= queue then return false end
    if level ~= '' and job.level ~= level then return false end
    if unretried == '1' and job.retried then return false end
    if prefix ~= '' and string.sub(cjson.decode(job.spec).input_object, 1, #prefix) ~= prefix then return false end
    if not wanted then return true end
    local place = job.queue .. (job.batch or '')
    if paused[place] == nil then paused[place] = is_paused(job.queue, job.batch) end
    return wanted[job.state == 'Submitted' and paused[place] and 'Pause' or job.state]
  end
  return sources, matches
end

-- The first rows {id, at} of several indexes together.
local function rows_of(sources, descending, low, high, limit)
  local rows = {}
  for key in pairs(sources) do
    local part
    if descending then
      part = redis.call('ZREVRANGEBYSCORE', key, high, low, 'WITHSCORES', 'LIMIT', 0, limit)
    else
      part = redis.call('ZRANGEBYSCORE', key, low, high, 'WITHSCORES', 'LIMIT', 0, limit)
    end
    for i = 1, #part, 2 do rows[#rows + 1] = {id = part[i], at = tonumber(part[i + 1])} end
  end
  table.sort(rows, function(a, b) if descending then return a.at > b.at end return a.at < b.at end)
  for i = limit + 1, #rows do rows[i] = nil end
  return rows
end

-- Give a queue a weight. What its last turns moved is counted anew.
local function set_weight(queue, weight)
  local key = P .. ':queue:' .. queue
  local before = tonumber(redis.call('HGET', key, 'weight') or USUAL_WEIGHT)
  for level = 0, 2 do
    local served = tonumber(redis.call('HGET', P .. ':turn', level) or 0)
    local after = tonumber(redis.call('HGET', key, 'turn:' .. level) or 0)
    if after > served then
      after = served + (after - served) * before / weight
      redis.call('HSET', key, 'turn:' .. level, number(after))
      for _, line in ipairs(lines_of(queue, level)) do
        redis.call('ZADD', P .. ':ready:' .. line, 'XX', number(after), queue)
      end
    end
  end
  redis.call('HSET', key, 'weight', weight)
end

-- End the temporary limits of a queue, if it has any.
local function end_override(queue)
  local key = P .. ':queue:' .. queue
  local base = fields(key, 'base:max_concurrent', 'base:weight')
  if base['base:max_concurrent'] then redis.call('HSET', key, 'max_concurrent', base['base:max_concurrent']) end
  if base['base:weight'] then set_weight(queue, base['base:weight']) end
  redis.call('HDEL', key, 'base:max_concurrent', 'base:weight', 'until')
  redis.call('ZREM', P .. ':overrides', queue)
end

-- End the temporary limits whose time has come. Returns wake-ups.
local function end_overrides()
  local found = {}
  for _, queue in ipairs(redis.call('ZRANGEBYSCORE', P .. ':overrides', '-inf', int(NOW), 'LIMIT', 0, 100)) do
    end_override(queue)
    refresh(queue)
    local q = fields(P .. ':queue:' .. queue, 'tenant', 'state')
    publish_event(q.tenant, 'queue', queue, q.state, 0, '', '')
    for level = 2, 0, -1 do append(found, wake_ups(queue, level, 100)) end
  end
  return found
end

-- The fencing token of a new attempt: above the one before, and not below the time. A server that lost the claim
-- before, because it was killed or a replica took its place, does not give that claim's token again.
local function next_token(job)
  return int(math.max(tonumber(job.token or 0) + 1, NOW))
end

-- Whether a token is that of the job's current attempt.
local function is_current(job, token)
  return job and job.state == 'Running' and job.token == token
end

-- Open the service for a tenant; a new one gets its default queue. Returns false if its region has `limit` tenants.
local function open_tenant(tenant, queue, max_size, max_concurrent, limit)
  local home = P .. ':tenant:' .. tenant
  if redis.call('EXISTS', home) == 0 and redis.call('ZCARD', P .. ':tenants') >= tonumber(limit) then
    local region, count = string.match(tenant, '^[^/]*/'), 0
    for _, known in ipairs(redis.call('ZRANGE', P .. ':tenants', 0, -1)) do
      if string.sub(known, 1, #region) == region then count = count + 1 end
    end
    if count >= tonumber(limit) then return false end
  end
  if redis.call('HSETNX', home, 'queue', queue) == 1 then
    redis.call('HSET', home, 'created', int(NOW), 'filed', 'all')
    redis.call('ZADD', P .. ':tenants', int(NOW), tenant)
    redis.call('HSET', P .. ':queue:' .. queue, 'tenant', tenant, 'name', 'queue-speech-1', 'state', 'Active',
      'max_size', max_size, 'max_concurrent', max_concurrent, 'created', int(NOW), 'updated', int(NOW), 'notify', '{}')
    redis.call('ZADD', P .. ':queues:' .. tenant, int(NOW), queue)
    refresh(queue)
  end
  redis.call('HSET', home, 'open', 1)
  return true
end
