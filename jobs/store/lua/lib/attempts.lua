
-- Attempts: their tokens, and what they leave in buckets.

-- The fencing token of a new attempt: above the one before, and not below the time. A server that lost the claim
-- before, because it was killed or a replica took its place, does not give that claim's token again.
local function next_token(job)
  return int(math.max(tonumber(job.token or 0) + 1, NOW))
end

-- Whether a token is that of the job's current attempt.
local function is_current(job, token)
  return job and job.state == 'Running' and job.token == token
end

-- Record uploads of the current attempt that could not be removed from their bucket, for later sweeps. JSON, or ''.
local function leave(job, uploads)
  if uploads == '' then return end
  local id = job.id .. ':' .. job.token
  redis.call('HSET', P .. ':leftover:' .. id, 'job', job.id, 'token', job.token, 'uploads', uploads,
    'since', int(NOW), 'tries', 0)
  redis.call('ZADD', P .. ':leftovers', int(NOW + LEFTOVER_WAIT), id)
end
