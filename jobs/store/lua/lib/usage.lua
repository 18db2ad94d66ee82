
-- What credentials take in a day, and their budgets.

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

-- Whether what a credential may take today has room for some more jobs. Limits of jobs and of audio, ms; '' for none.
local function has_budget(credential, jobs, audio_ms, number)
  if jobs == '' and audio_ms == '' then return true end
  local spent = fields(P .. ':spent:' .. credential .. ':' .. TODAY, 'jobs', 'audio_ms')
  if audio_ms ~= '' and tonumber(spent.audio_ms or 0) >= tonumber(audio_ms) then return false end
  return jobs == '' or tonumber(spent.jobs or 0) + number <= tonumber(jobs)
end
