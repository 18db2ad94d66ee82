
-- Remember that a worker lives, or with an empty text that it has ended; forget workers that were not seen for long.
-- ARGV: 3 name, 4 JSON of Worker or '', 5 how long a worker is remembered µs, 6… what it serves

if ARGV[4] == '' then
  redis.call('ZREM', P .. ':workers', ARGV[3])
  redis.call('HDEL', P .. ':worker-reports', ARGV[3])
else
  redis.call('ZADD', P .. ':workers', int(NOW), ARGV[3])
  redis.call('HSET', P .. ':worker-reports', ARGV[3], ARGV[4])
  for i = 6, #ARGV do redis.call('ZADD', P .. ':served', int(NOW), ARGV[i]) end
end
redis.call('ZREMRANGEBYSCORE', P .. ':served', '-inf', int(NOW - tonumber(ARGV[5])))
for _, name in ipairs(redis.call('ZRANGEBYSCORE', P .. ':workers', '-inf', int(NOW - tonumber(ARGV[5])), 'LIMIT', 0, 100)) do
  redis.call('ZREM', P .. ':workers', name)
  redis.call('HDEL', P .. ':worker-reports', name)
end
