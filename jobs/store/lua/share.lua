
-- Give the share of a credential another weight for a time.
-- ARGV: 3 credential, 4 weight, 5 until when µs

redis.call('HSET', P .. ':share:' .. ARGV[3], 'temporary', ARGV[4], 'until', ARGV[5])
