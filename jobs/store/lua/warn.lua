
-- Publish, once a day for a credential and a tenant, that its budget is nearly spent.
-- ARGV: 3 tenant, 4 credential, 5 percent, 6 state
-- Returns 1 if it was reported | 0

local spent = P .. ':spent:' .. ARGV[4] .. ':' .. int(math.floor(NOW / DAY))
if redis.call('HSETNX', spent, 'warned:' .. ARGV[3], 1) == 0 then return 0 end
redis.call('PEXPIRE', spent, 2 * 86400000)
publish_event(ARGV[3], 'budget', ARGV[4], ARGV[6], ARGV[5], '', '')
return 1
