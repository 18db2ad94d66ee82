
-- Records as clients see them.
-- ARGV: 3 tenant ('' for any), 4 ageing µs (0: off), 5… ids
-- Returns for each id a record, or an empty list

local out = {}
for i = 5, #ARGV do
  local record = {}
  if ARGV[3] == '' or redis.call('HGET', P .. ':job:' .. ARGV[i], 'tenant') == ARGV[3] then
    record = shown(ARGV[i], ARGV[4]) or {}
  end
  out[#out + 1] = record
end
return out
