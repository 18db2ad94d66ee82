
-- Events of a tenant after one of them.
-- ARGV: 3 tenant, 4 name of that event, 5 limit
-- Returns {entries} | nothing if some of the events after it may be gone, or it lies beyond the end of the stream

local stream = P .. ':events:' .. ARGV[3]
local t = redis.call('TIME')
local now_ms = tonumber(t[1]) * 1000
local mine, own = string.match(ARGV[4], '^(%d+)-(%d+)$')
mine, own = tonumber(mine), tonumber(own)
if mine < now_ms - EVENTS_MS then return nil end
-- A store that lost its last events, or whose clock was set back, names the next ones below those that readers know.
local end_ms, end_seq = string.match(events_end(ARGV[3]), '^(%d+)-(%d+)$')
end_ms, end_seq = tonumber(end_ms), tonumber(end_seq)
if mine > end_ms or (mine == end_ms and own > end_seq) then return nil end
if redis.call('EXISTS', stream) == 1 then
  local info = redis.call('XINFO', 'STREAM', stream)
  local about = {}
  for i = 1, #info, 2 do about[info[i]] = info[i + 1] end
  if about['entries-added'] > about['length'] then
    local ms, seq = string.match(about['first-entry'][1], '^(%d+)-(%d+)$')
    ms, seq = tonumber(ms), tonumber(seq)
    if mine < ms or (mine == ms and own < seq) then return nil end
  end
end
return {redis.call('XRANGE', stream, '(' .. ARGV[4], '+', 'COUNT', ARGV[5])}
