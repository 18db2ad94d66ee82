
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

local function count_in_line(queue, line)
  local place = queue .. ':' .. line
  return redis.call('ZCARD', P .. ':waiting:' .. place) + redis.call('ZCARD', P .. ':weighted:' .. place)
end

local looked_at = {}  -- shares of a line as this script has found them

-- Shares of a line, '' apart: how many there are, and as many as SHARES_COUNTED of them, from the first to the last turn.
local function shares_of(place)
  local found = looked_at[place]
  if found then return found end
  local key = P .. ':shares:' .. place
  found = {total = redis.call('ZCARD', key)}
  local sampled = math.min(found.total, SHARES_COUNTED)
  for i = 0, sampled - 1 do
    local rank = math.floor(i * found.total / sampled)
    local share = redis.call('ZRANGE', key, rank, rank, 'WITHSCORES')
    local jobs = redis.call('ZCARD', list_of(place, share[1]))
    found[#found + 1] = {name = share[1], turn = tonumber(share[2]), step = step(weight_of(share[1])), jobs = jobs}
  end
  looked_at[place] = found
  return found
end

-- Jobs of a share that are claimed until a turn of another one: one division, because the turn of its n-th job is known.
local function before_turn(share, turn, own)
  if share.name == own or share.turn > turn then return 0 end
  local count = math.floor((turn - share.turn) / share.step) + 1
  if (turn - share.turn) % share.step == 0 and share.name > own then count = count - 1 end
  return math.min(count, share.jobs)
end

-- Jobs of its line that are claimed before a waiting one; nil if it is not in line. With more than SHARES_COUNTED shares
-- it is an estimate, since a look at each of them, for each job of a page, would hold up the server for seconds.
local function ahead_in_line(job)
  local place, own = job.queue .. ':' .. line_of(job), job.share or ''
  local ahead = redis.call('ZRANK', list_of(place, own), job.id)
  if not ahead then return nil end
  local shares = shares_of(place)
  if shares.total == 0 then return ahead end
  local length, mine = step(weight_of(own)), nil
  if own == '' then
    mine = turn_of(job.queue, job.level, '') + ahead * length
  else
    mine = tonumber(redis.call('ZSCORE', P .. ':shares:' .. place, own)) + ahead * length
    local plain = {name = '', step = step(USUAL_WEIGHT), jobs = redis.call('ZCARD', list_of(place, ''))}
    plain.turn = plain.jobs > 0 and turn_of(job.queue, job.level, '') or 0
    ahead = ahead + before_turn(plain, mine, own)
  end
  local found, others = 0, 0
  for _, share in ipairs(shares) do
    found = found + before_turn(share, mine, own)
    if share.name ~= own then others = others + 1 end
  end
  local all = own == '' and shares.total or shares.total - 1
  if others > 0 then ahead = ahead + math.floor(found * all / others) end
  return math.min(ahead, count_in_line(job.queue, line_of(job)) - 1)
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
