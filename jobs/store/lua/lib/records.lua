
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

-- What a record keeps to tell whether its id, tenant, queue and specification are those that were submitted.
local function seal(id, tenant, queue, spec)
  return redis.sha1hex(id .. ' ' .. (tenant or '') .. ' ' .. (queue or '') .. ' ' .. (spec or ''))
end

local function append(list, items)
  for _, item in ipairs(items) do list[#list + 1] = item end
end
