
-- Records as clients see them.
-- ARGV: 3 tenant ('' for any), 4… ids
-- Returns for each id a record, or an empty list

local out = {}
for i = 4, #ARGV do
  local record = {}
  if ARGV[3] == '' or redis.call('HGET', P .. ':job:' .. ARGV[i], 'tenant') == ARGV[3] then
    record = view(ARGV[i]) or {}
  end
  out[#out + 1] = record
end
return out
