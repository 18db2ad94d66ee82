
-- All tenants that were ever opened, unless they are those that the caller knows.
-- ARGV: 3 the mark of those that the caller knows, or ''
-- Returns {mark} | {mark, tenants, the oldest first, those of them that are closed}

local mark = directory_mark()
if mark == ARGV[3] then return {mark} end
return {mark, redis.call('ZRANGE', P .. ':tenants', 0, -1), redis.call('SMEMBERS', P .. ':closed')}
