
-- Remember a nonce of a signed request.
-- ARGV: 3 credential, 4 nonce, 5 request id, 6 seconds it is remembered, 7 nonces of a credential that are remembered
-- Returns 1 if this request is the first with the nonce, also when its call is repeated; 0 if it is not; -1 if there
-- are as many as may be

local key = P .. ':nonce:' .. ARGV[3] .. ':' .. ARGV[4]
local user = redis.call('GET', key)
if user then return user == ARGV[5] and 1 or 0 end

-- They are counted by the ten minutes in which they are forgotten.
local counts, now, sum = P .. ':nonces:' .. ARGV[3], NOW / 600000000, 0
local found = redis.call('HGETALL', counts)
for i = 1, #found, 2 do
  if tonumber(found[i]) < math.floor(now) then
    redis.call('HDEL', counts, found[i])
  else
    sum = sum + tonumber(found[i + 1])
  end
end
if sum >= tonumber(ARGV[7]) then return -1 end
redis.call('SET', key, ARGV[5], 'EX', ARGV[6])
redis.call('HINCRBY', counts, int(math.floor(now + tonumber(ARGV[6]) / 600)), 1)
redis.call('EXPIRE', counts, math.max(redis.call('TTL', counts), tonumber(ARGV[6]) + 600))
return 1
