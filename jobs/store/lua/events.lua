
-- Events of a tenant after one of them.
-- ARGV: 3 tenant, 4 name of that event, 5 limit
-- Returns {entries} | nothing if some of the events after it may be gone

local stream = P .. ':events:' .. ARGV[3]
local t = redis.call('TIME')
local now_ms = tonumber(t[1]) * 1000
if tonumber(string.match(ARGV[4], '^%d+')) < now_ms - EVENTS_MS then return nil end
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  local about = {}
  for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
  if about['entries-added'] > about['length'] then
    local ms, seq = string.match(about['first-entry'][1], '^(%d+)-(%d+)$')
    local mine, own = string.match(ARGV[4], '^(%d+)-(%d+)$')
    ms, seq, mine, own = tonumber(ms), tonumber(seq), tonumber(mine), tonumber(own)
    if mine < ms or (mine == ms and own < seq) then return nil end
  end
end
return {redis.call('XRANGE', stream, '(' .. ARGV[4], '+', 'COUNT', ARGV[5])}
