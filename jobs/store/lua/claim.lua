
-- Give the best waiting job to a worker: highest level, then the queue whose turn it is, then its share whose turn it is,
-- then the oldest. Jobs past their deadline are cancelled instead, and those with a damaged record fail.
-- ARGV: 3 worker, 4 lease µs, 5 ageing µs (0: off), 6… levels, the preferred first
-- Returns the record, or nothing

local ageing = tonumber(ARGV[5])

local function best_job()
  local best
  for i = 6, #ARGV do
    local level = tonumber(ARGV[i])
    local turn = redis.call('ZRANGE', P .. ':ready:' .. level, 0, 0, 'WITHSCORES')
    if turn[1] then
      local first = first_in_line(turn[1], level)
      local created = first.created
      local rank = level
      if ageing > 0 then rank = level + math.floor(math.max(0, NOW - created) / ageing) end
      if not best or rank > best.rank or (rank == best.rank and ageing > 0 and created < best.created) then
        best = {id = first.id, queue = turn[1], level = level, rank = rank, created = created, turn = tonumber(turn[2]),
          first = first}
      end
      if ageing == 0 then break end
    end
  end
  return best
end

-- Whether the record is as it was written: an append-only file has no checksums. A damaged one ends here, without a
-- callback, since its address may be what is damaged; without a record the id alone leaves the line.
local function is_sound(best, job)
  local place = {id = best.id, queue = best.queue, level = tostring(best.level), share = best.first.share}
  if not job then
    step_out(place)
    refresh(best.queue)
    return false
  end
  local kept = fields(P .. ':job:' .. job.id, 'spec', 'seal')
  local is_whole = not kept.seal or kept.seal == seal(job.id, job.tenant, job.queue, kept.spec)
  if is_whole and job.queue == place.queue and job.level == place.level then return true end
  job.queue, job.level = place.queue, place.level  -- the line in which it is
  finish(job, 'Failed', 'InternalError', 'The record of the job was damaged on the disk of the store.', '')
  refresh(best.queue)
  return false
end

end_overrides()
local best, job
for _ = 1, 1000 do
  best = best_job()
  if not best then return nil end
  job = load(best.id)
  if is_sound(best, job) and not expire(job) then break end
  job = nil
end
if not job then return nil end

leave_waiting(job)
end_turn(best.queue, best.level, best.first)
if not move(job, 'Running') then return redis.error_reply('waiting job is ' .. job.state) end
redis.call('HSET', P .. ':job:' .. job.id, 'token', next_token(job), 'started', int(NOW), 'worker', ARGV[3], 'progress', 0)
redis.call('HDEL', P .. ':job:' .. job.id, 'message', 'stage', 'ends')
redis.call('HINCRBY', P .. ':job:' .. job.id, 'attempt', 1)
note(job.id, 'claimed', ARGV[3])
redis.call('HINCRBY', P .. ':job:' .. job.id, 'claims', 1)
redis.call('SADD', P .. ':running:' .. best.queue, job.id)
redis.call('SADD', P .. ':running:' .. best.queue .. ':' .. best.level, job.id)
redis.call('ZADD', P .. ':leases', int(NOW + tonumber(ARGV[4])), job.id)
local weight = tonumber(redis.call('HGET', P .. ':queue:' .. best.queue, 'weight') or USUAL_WEIGHT)
local after = number(best.turn + USUAL_WEIGHT / weight)
redis.call('HSET', P .. ':turn', best.level, number(best.turn))
redis.call('HSET', P .. ':queue:' .. best.queue, 'turn:' .. best.level, after)
redis.call('ZADD', P .. ':ready:' .. best.level, after, best.queue)
publish_job(job)
refresh(best.queue)
return view(job.id)
