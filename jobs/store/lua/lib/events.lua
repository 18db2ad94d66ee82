
-- Events for clients, and steps of jobs.

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
