
-- Give the best waiting job to a worker, of those that it serves: highest level, then the queue whose turn it is, then its
-- share whose turn it is, then the oldest. Jobs past their deadline are cancelled instead, and those with a damaged record
-- fail. A job in the common line that the worker does not serve gets a line apart, where others find it.
-- ARGV: 3 worker, 4 lease µs, 5 ageing µs (0: off), 6 number of levels, then these, the highest first, then what the
-- worker serves, each as it is or as <name>=<jobs that may run at a time>
-- Returns {'job', wake-ups, record} | {'none', wake-ups} | {'again', wake-ups} if there was too much to do for one call

local ageing = tonumber(ARGV[5])
local levels, serves, common = {}, {}, false
for i = 7, 6 + tonumber(ARGV[6]) do levels[#levels + 1] = tonumber(ARGV[i]) end
local limited = {}
for i = 7 + #levels, #ARGV do
  local name, most = string.match(ARGV[i], '^(.*)=(%d+)$')
  name = name or ARGV[i]
  limited[name] = most ~= nil
  if not most or count_running(name, tonumber(most)) < tonumber(most) then
    serves[name] = true
    common = common or COMMON[name] or false
  end
end

-- What the lines are named after that the worker serves and that have waiting jobs of any queue.
local function served_lines()
  local found = common and {''} or {}
  if redis.call('ZCARD', P .. ':wanted') == 0 then return found end
  for wants in pairs(serves) do
    if redis.call('ZSCORE', P .. ':wanted', wants) then found[#found + 1] = wants end
  end
  return found
end

-- The first job of a level, with its queue and the turn of that.
local function first_of_level(level, lines)
  local queue, turn
  for _, wants in ipairs(lines) do
    local next = redis.call('ZRANGE', P .. ':ready:' .. line_named(level, wants), 0, 0, 'WITHSCORES')
    local at = tonumber(next[2])
    if next[1] and (not queue or at < turn or (at == turn and next[1] < queue)) then queue, turn = next[1], at end
  end
  if not queue then return nil end
  local own = {}
  for _, wants in ipairs(lines) do own[#own + 1] = line_named(level, wants) end
  return first_in_lines(queue, level, own), queue, turn
end

local function best_job()
  local best
  local lines = served_lines()
  for _, level in ipairs(levels) do
    local first, queue, turn = first_of_level(level, lines)
    if first then
      local rank = level
      if ageing > 0 then rank = level + math.floor(math.max(0, NOW - first.created) / ageing) end
      -- Of the same rank the one of the lower level has waited longer; the higher levels come first.
      if not best or rank >= best.rank then
        best = {id = first.id, queue = queue, level = level, rank = rank, turn = turn, first = first}
      end
      if ageing == 0 then break end
    end
  end
  return best
end

-- Whether the record is as it was written: an append-only file has no checksums. A damaged one ends here, without a
-- callback, since its address may be what is damaged; without a record the id alone leaves the line.
local function is_sound(best, job)
  local place = {id = best.id, queue = best.queue, level = tostring(best.level), share = best.first.share,
    wants = string.match(best.first.line, '/(.*)') or 'MusicMode', apart = string.match(best.first.line, '/') and '1'}
  if not job then
    leave_line(place, best.first.line)
    if place.apart then add_wanted(best.queue, place.wants, -1) end
    refresh(best.queue)
    return false
  end
  if job.state ~= 'Submitted' then  -- a release that knows no lines has ended it
    leave_line(job, best.first.line)
    count_wanted(job, false)
    refresh(best.queue)
    return false
  end
  local kept = fields(P .. ':job:' .. job.id, 'spec', 'seal')
  local is_whole = not kept.seal or kept.seal == seal(job.id, job.tenant, job.queue, kept.spec)
  is_whole = is_whole and (not job.wants or job.wants == wants_in(kept.spec))
  local stands = line_of(job) == best.first.line or line_wants(job) ~= ''  -- an earlier release put it into the common line
  if is_whole and stands and job.queue == place.queue and job.level == place.level then return true end
  job.queue, job.level, job.wants, job.apart = place.queue, place.level, place.wants, place.apart  -- where it is
  finish(job, 'Failed', 'InternalError', 'The record of the job was damaged on the disk of the store.', '')
  refresh(best.queue)
  return false
end

local moved = {}

-- Give a job of the common line a line apart.
local function set_apart(job)
  local wants = wants_of(job)
  leave_line(job, job.level)
  redis.call('HSET', P .. ':job:' .. job.id, 'wants', wants, 'apart', 1)
  job.apart = '1'
  count_wanted(job, true)
  line_up(job)
  refresh(job.queue)
  append(moved, wake_ups_of(job.queue, job.level, wants, 1))
end

end_overrides()
local best, job
local passed, apart = 0, 0
while not job do
  best = best_job()
  if not best then return {'none', moved} end
  job = load(best.id)
  if not is_sound(best, job) or expire(job) then
    job, passed = nil, passed + 1
  elseif not serves[wants_of(job)] then
    set_apart(job)
    job, apart = nil, apart + 1
  end
  if not job and (passed >= MAX_PASSED or apart >= MAX_MOVED) then return {'again', moved} end
end

if line_of(job) ~= best.first.line then leave_line(job, best.first.line) end
leave_waiting(job)
end_turn(best.queue, best.level, best.first)
if not move(job, 'Running') then return redis.error_reply('waiting job is ' .. job.state) end
redis.call('HSET', P .. ':job:' .. job.id, 'token', next_token(job), 'started', int(NOW), 'worker', ARGV[3], 'progress', 0)
redis.call('HDEL', P .. ':job:' .. job.id, 'message', 'stage', 'ends')
redis.call('HINCRBY', P .. ':job:' .. job.id, 'attempt', 1)
note(job.id, 'claimed', ARGV[3])
redis.call('HINCRBY', P .. ':job:' .. job.id, 'claims', 1)
redis.call('SADD', P .. ':running:' .. best.queue, job.id)
if limited[wants_of(job)] then redis.call('SADD', P .. ':running-wanting:' .. wants_of(job), job.id) end
redis.call('SADD', P .. ':running:' .. best.queue .. ':' .. best.level, job.id)
redis.call('ZADD', P .. ':leases', int(NOW + tonumber(ARGV[4])), job.id)
local weight = tonumber(redis.call('HGET', P .. ':queue:' .. best.queue, 'weight') or USUAL_WEIGHT)
-- Turns that passed while no worker served the line are not made up for.
local turn = math.max(best.turn, tonumber(redis.call('HGET', P .. ':turn', best.level) or 0))
local after = number(turn + USUAL_WEIGHT / weight)
redis.call('HSET', P .. ':turn', best.level, number(turn))
redis.call('HSET', P .. ':queue:' .. best.queue, 'turn:' .. best.level, after)
for _, line in ipairs(lines_of(best.queue, best.level)) do
  redis.call('ZADD', P .. ':ready:' .. line, 'XX', after, best.queue)
end
publish_job(job)
refresh(best.queue)
return {'job', moved, view(job.id)}
