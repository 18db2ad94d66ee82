
-- What a tenant may keep: rows of batches, and records, of which the oldest are deleted.

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
