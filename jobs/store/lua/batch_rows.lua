
-- Receive a batch.
-- ARGV: 3 begin or append, 4 batch, 5 upload, then for
--   begin   6 tenant, 7 name, 8 spec, 9 target, 10 ms until it is forgotten unless sealed
--   append  6 number of the first row, 7… rows
-- Returns {'ok'} | {'sealed', SHA-256 of the body} | {'superseded'}

local key, rows = P .. ':batch:' .. ARGV[4], P .. ':batch-rows:' .. ARGV[4]
local batch = fields(key, 'state', 'upload', 'body')

if ARGV[3] == 'begin' then
  if batch.state and batch.state ~= 'Loading' then return {'sealed', batch.body} end
  redis.call('DEL', key, rows)  -- an upload that broke off begins anew
  redis.call('HSET', key, 'tenant', ARGV[6], 'name', ARGV[7], 'spec', ARGV[8], 'target', ARGV[9], 'upload', ARGV[5],
    'created', int(NOW), 'state', 'Loading', 'rows', 0, 'fed', 0)
  redis.call('PEXPIRE', key, ARGV[10])
  return {'ok'}
end

if batch.state ~= 'Loading' or batch.upload ~= ARGV[5] then return {'superseded'} end
local first, count = tonumber(ARGV[6]), redis.call('LLEN', rows)
if count == first + #ARGV - 6 and #ARGV > 6 then return {'ok'} end  -- repeated after a lost answer
if count ~= first then return {'superseded'} end
for i = 7, #ARGV do redis.call('RPUSH', rows, ARGV[i]) end
redis.call('PEXPIRE', rows, redis.call('PTTL', key))
redis.call('HSET', key, 'rows', redis.call('LLEN', rows))
return {'ok'}
