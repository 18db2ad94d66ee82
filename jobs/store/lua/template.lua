
-- Create a template, or change the given fields of one.
-- ARGV: 3 tenant, 4 id, 5 create or update, 6 templates a tenant may have, 7 name ('' to keep it),
--       8 parameters (JSON, '' to keep them), 9 the template's revision when it was read ('' to change any)
-- Returns {'ok'} | {'unknown'} | {'changed'} if it has another revision | {'duplicate'} | {'limit'}

local tenant, id = ARGV[3], ARGV[4]
local names, all, key = P .. ':template-names:' .. tenant, P .. ':templates:' .. tenant, P .. ':template:' .. id
local name = ARGV[7]
if ARGV[5] == 'create' then
  if redis.call('ZCARD', all) >= tonumber(ARGV[6]) then return {'limit'} end
elseif not redis.call('ZSCORE', all, id) then
  return {'unknown'}
elseif ARGV[9] ~= '' and ARGV[9] ~= (redis.call('HGET', key, 'revision') or '0') then
  return {'changed'}
end
if name ~= '' then
  local owner = redis.call('HGET', names, name)
  if owner and owner ~= id then return {'duplicate'} end
  local before = redis.call('HGET', key, 'name')
  if before then redis.call('HDEL', names, before) end
  redis.call('HSET', names, name, id)
  redis.call('HSET', key, 'name', name)
end
if ARGV[8] ~= '' then redis.call('HSET', key, 'separate', ARGV[8]) end
redis.call('HSET', key, 'tenant', tenant, 'updated', int(NOW))
redis.call('HINCRBY', key, 'revision', 1)
if ARGV[5] == 'create' then
  redis.call('HSET', key, 'created', int(NOW))
  redis.call('ZADD', all, int(NOW), id)
end
return {'ok'}
