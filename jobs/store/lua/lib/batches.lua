
-- Batches: the counts of their rows, and their end.

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
