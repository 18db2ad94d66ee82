
-- Forget a leftover.
-- ARGV: 3 leftover, 4 removed or given_up

if redis.call('ZREM', P .. ':leftovers', ARGV[3]) == 0 then return end
redis.call('DEL', P .. ':leftover:' .. ARGV[3])
redis.call('HINCRBY', P .. ':counts', 'leftovers:' .. ARGV[4], 1)
