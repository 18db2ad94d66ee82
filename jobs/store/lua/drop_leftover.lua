
-- Forget a leftover.
-- ARGV: 3 leftover, 4 removed or given_up
-- Returns 1 | 0 if it is unknown

if redis.call('ZREM', P .. ':leftovers', ARGV[3]) == 0 then return 0 end
redis.call('DEL', P .. ':leftover:' .. ARGV[3])
redis.call('HINCRBY', P .. ':counts', 'leftovers:' .. ARGV[4], 1)
return 1
