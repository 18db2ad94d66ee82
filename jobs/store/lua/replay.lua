
-- Put dead letters into the outbox again. Their schedule starts anew; their attempts stay on record.
-- ARGV: 3… deliveries
-- Returns how many of them were dead letters

local count = 0
for i = 3, #ARGV do
  if redis.call('ZREM', P .. ':dead', ARGV[i]) == 1 then
    redis.call('HSET', P .. ':delivery:' .. ARGV[i], 'status', 'pending', 'due', int(NOW),
      'replayed', redis.call('LLEN', P .. ':attempts:' .. ARGV[i]))
    redis.call('ZADD', P .. ':outbox', int(NOW), ARGV[i])
    count = count + 1
  end
end
return count
