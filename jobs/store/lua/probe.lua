
-- Questions of dry runs, taken in turns: the asker whose tenant and credential have taken the least time is next.
-- ARGV: 3 ask, take or spend, 4 asker (<tenant>|<credential>), then for
--   ask    5 JSON of the question, 6 questions of an asker and 7 askers that may wait, 8 ms that they are kept,
--          9 ms that a tenant and 10 that a credential may take, 11 digest of the source
--   take   the asker is one that was taken from P:probe-turns, which says that there is a question; 5 its score,
--          6 ms that questions are kept
--   spend  5 ms that an answer took, 6 ms after which they are forgotten, 7 digest of the source if it took too long
-- Returns for ask whether it was asked (0/1), for take the question or nothing

local turns = P .. ':probe-turns'

local function list_of(asker) return P .. ':probe-questions:' .. asker end

local function slow_source(asker, digest) return P .. ':probe-slow:' .. string.match(asker, '^[^|]*') .. ':' .. digest end

local function accounts_of(asker)
  local tenant, credential = string.match(asker, '^([^|]*)|(.*)$')
  return {P .. ':probe-spent:tenant:' .. tenant, P .. ':probe-spent:credential:' .. credential}
end

-- How long an asker's tenant and credential have kept workers busy, ms.
local function spent_by(asker)
  local found = redis.call('MGET', unpack(accounts_of(asker)))
  return tonumber(found[1] or 0), tonumber(found[2] or 0)
end

-- The waiting asker that is next, and the one that is last; of equals the one that has waited for longer is before.
local function ends_of_line()
  local first, last, least, most
  for _, asker in ipairs(redis.call('ZRANGE', turns, 0, -1)) do
    local of_tenant, of_credential = spent_by(asker)
    local spent = of_tenant + of_credential
    if redis.call('EXISTS', list_of(asker)) == 0 then
      redis.call('ZREM', turns, asker)
    else
      if not least or spent < least then first, least = asker, spent end
      if not most or spent >= most then last, most = asker, spent end
    end
  end
  return first, last
end

if ARGV[3] == 'ask' then
  local of_tenant, of_credential = spent_by(ARGV[4])
  if of_tenant >= tonumber(ARGV[9]) or of_credential >= tonumber(ARGV[10]) then return 0 end
  if redis.call('EXISTS', slow_source(ARGV[4], ARGV[11])) == 1 then return 0 end
  local list = list_of(ARGV[4])
  redis.call('RPUSH', list, ARGV[5])
  redis.call('LTRIM', list, -tonumber(ARGV[6]), -1)
  redis.call('PEXPIRE', list, ARGV[8])
  redis.call('ZADD', turns, 'NX', int(NOW), ARGV[4])
  redis.call('PEXPIRE', turns, ARGV[8])
  if redis.call('ZCARD', turns) > tonumber(ARGV[7]) then
    local _, last = ends_of_line()
    redis.call('ZREM', turns, last)
    redis.call('DEL', list_of(last))
  end
  return 1
end

if ARGV[3] == 'take' then
  redis.call('ZADD', turns, 'NX', ARGV[5], ARGV[4])
  local first = ends_of_line()
  if not first then return nil end
  local question = redis.call('LPOP', list_of(first))
  redis.call('ZREM', turns, first)
  if redis.call('EXISTS', list_of(first)) == 1 then redis.call('ZADD', turns, int(NOW), first) end
  redis.call('PEXPIRE', turns, ARGV[6])
  return question
end

if ARGV[7] ~= '' then redis.call('SET', slow_source(ARGV[4], ARGV[7]), '', 'PX', ARGV[6]) end
for _, account in ipairs(accounts_of(ARGV[4])) do
  redis.call('INCRBY', account, ARGV[5])
  if redis.call('PTTL', account) < 0 then redis.call('PEXPIRE', account, ARGV[6]) end
end
