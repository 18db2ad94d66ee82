
-- Remember a nonce of a signed request.
-- ARGV: 3 credential, 4 nonce, 5 request id, 6 seconds it is remembered
-- Returns 1 if this request is the first with the nonce, also when its call is repeated; else 0

local key = P .. ':nonce:' .. ARGV[3] .. ':' .. ARGV[4]
if redis.call('SET', key, ARGV[5], 'NX', 'EX', ARGV[6]) then return 1 end
return redis.call('GET', key) == ARGV[5] and 1 or 0
