
-- Receive a batch.
-- ARGV: 3 begin, append or drop, 4 batch, 5 upload, then for
--   begin   6 tenant, 7 name, 8 spec, 9 target, 10 ms until it is forgotten unless sealed,
--           11 batches of the tenant that may hold rows
--   append  6 number of the first row, 7 rows and 8 bytes of rows that the tenant's batches may hold, 9… rows
-- Returns {'ok'} | {'sealed', SHA-256 of the body} | {'superseded'} | {'full', batches, rows or bytes}
--         | {'large', rows or bytes} if the batch alone has more than that

local key, rows = P .. ':batch:' .. ARGV[4], P .. ':batch-rows:' .. ARGV[4]
local batch = fields(key, 'state', 'upload', 'body', 'tenant')

if ARGV[3] == 'begin' then
  if batch.state and batch.state ~= 'Loading' then return {'sealed', batch.body} end
  if held_rows(ARGV[6], ARGV[4]) >= tonumber(ARGV[11]) then return {'full', 'batches'} end
  redis.call('DEL', key, rows)  -- an upload that broke off begins anew
  redis.call('HSET', key, 'tenant', ARGV[6], 'name', ARGV[7], 'spec', ARGV[8], 'target', ARGV[9], 'upload', ARGV[5],
    'created', int(NOW), 'state', 'Loading', 'rows', 0, 'fed', 0)
  redis.call('PEXPIRE', key, ARGV[10])
  redis.call('HSET', P .. ':held-rows:' .. ARGV[6], ARGV[4], '0 0')
  return {'ok'}
end

if batch.state ~= 'Loading' or batch.upload ~= ARGV[5] then return {'superseded'} end
local held = P .. ':held-rows:' .. batch.tenant
if ARGV[3] == 'drop' then
  redis.call('DEL', key, rows)
  redis.call('HDEL', held, ARGV[4])
  return {'ok'}
end

local first, count, added = tonumber(ARGV[6]), redis.call('LLEN', rows), #ARGV - 8
if count == first + added and added > 0 then return {'ok'} end  -- repeated after a lost answer
if count ~= first then return {'superseded'} end
local bytes = tonumber(string.match(redis.call('HGET', held, ARGV[4]) or '0 0', '%d+$'))
for i = 9, #ARGV do bytes = bytes + #ARGV[i] end
local own = {rows = count + added, bytes = bytes}
local most = {rows = tonumber(ARGV[7]), bytes = tonumber(ARGV[8])}
local _, other_rows, other_bytes = held_rows(batch.tenant, ARGV[4])
local others = {rows = other_rows, bytes = other_bytes}
for _, what in ipairs({'rows', 'bytes'}) do
  if own[what] > most[what] then return {'large', what} end
  if own[what] + others[what] > most[what] then return {'full', what} end
end
for i = 9, #ARGV do redis.call('RPUSH', rows, ARGV[i]) end
redis.call('PEXPIRE', rows, redis.call('PTTL', key))
redis.call('HSET', key, 'rows', own.rows)
redis.call('HSET', held, ARGV[4], int(own.rows) .. ' ' .. int(bytes))
return {'ok'}
