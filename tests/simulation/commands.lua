-- The commands of Valkey that the store and its scripts use, in Lua 5.1, which Valkey runs scripts in as well.
--
-- Nothing expires: in a run no time passes for Valkey. Fields of hashes and members of sets keep the order in which
-- they came, as in small ones of Valkey. A command or an option that is not here is an error.
-- Loaded with (sha1hex, decode, quote), functions of Python; returns (run, load, call, reset).

local sha1hex, decode, quote = ...
local floor, format, insert, remove = math.floor, string.format, table.insert, table.remove
local values, expires = {}, {}  -- by key
local scripts = {}  -- functions by digest
local C = {}

local function text(value)
  if type(value) ~= 'number' then return value end
  if value == floor(value) and value > -1e17 and value < 1e17 then return format('%.0f', value) end
  for digits = 1, 17 do
    local short = format('%.' .. digits .. 'g', value)
    if tonumber(short) == value then return short end
  end
  return value > 0 and 'inf' or '-inf'
end

local function refuse(message) error({err = message}, 0) end

local function integer(value)
  local found = tonumber(value)
  if not found or found ~= floor(found) then refuse('ERR value is not an integer or out of range') end
  return found
end

local function of(key, kind)
  local found = values[key]
  if found and found.kind ~= kind then refuse('WRONGTYPE Operation against a key holding the wrong kind of value') end
  return found
end

local function made(key, kind, new)
  local found = of(key, kind)
  if found then return found end
  new.kind = kind
  values[key] = new
  return new
end

local function dropped(key) values[key], expires[key] = nil, nil end

-- First and last place of a range of Redis in a list with so many items.
local function range(first, last, count)
  first, last = integer(first), integer(last)
  if first < 0 then first = math.max(count + first, 0) end
  if last < 0 then last = count + last end
  return first + 1, math.min(last + 1, count)
end

-- Keys

function C.EXISTS(...)
  local found = 0
  for _, key in ipairs({...}) do if values[key] then found = found + 1 end end
  return found
end

function C.DEL(...)
  local found = C.EXISTS(...)
  for _, key in ipairs({...}) do dropped(key) end
  return found
end

function C.PEXPIRE(key, ms)
  if not values[key] then return 0 end
  expires[key] = integer(ms)
  return 1
end

function C.EXPIRE(key, seconds) return C.PEXPIRE(key, integer(seconds) * 1000) end

function C.PTTL(key) return values[key] and (expires[key] or -1) or -2 end

function C.TTL(key)
  local ms = C.PTTL(key)
  return ms < 0 and ms or floor((ms + 500) / 1000)
end

function C.PERSIST(key)
  local had = expires[key] and 1 or 0
  expires[key] = nil
  return had
end

function C.TIME() return {'1800000000', '0'} end

-- Strings

function C.GET(key)
  local found = of(key, 'string')
  return found and found.value or false
end

function C.SET(key, value, unit, time)
  dropped(key)
  made(key, 'string', {value = text(value)})
  if unit then expires[key] = unit == 'EX' and integer(time) * 1000 or unit == 'PX' and integer(time) or refuse('no such option') end
  return {ok = 'OK'}
end

function C.MGET(...)
  local out = {}
  for i, key in ipairs({...}) do out[i] = values[key] and values[key].kind == 'string' and values[key].value or false end
  return out
end

function C.INCRBY(key, by)
  local found = made(key, 'string', {value = '0'})
  found.value = text(integer(found.value) + integer(by))
  return tonumber(found.value)
end

-- Hashes: names in their order, and items by name

local function hash(key) return made(key, 'hash', {names = {}, items = {}}) end

function C.HGET(key, name)
  local found = of(key, 'hash')
  return found and found.items[name] or false
end

function C.HMGET(key, ...)
  local items, out = (of(key, 'hash') or {items = {}}).items, {}
  for i, name in ipairs({...}) do out[i] = items[name] or false end
  return out
end

function C.HSET(key, ...)
  local given, found, new = {...}, hash(key), 0
  for i = 1, #given, 2 do
    local name = text(given[i])
    if not found.items[name] then
      new = new + 1
      insert(found.names, name)
    end
    found.items[name] = text(given[i + 1])
  end
  return new
end

function C.HSETNX(key, name, value) return C.HGET(key, name) and 0 or C.HSET(key, name, value) end

function C.HINCRBY(key, name, by)
  local before = C.HGET(key, name) or '0'
  if not tonumber(before) then refuse('ERR hash value is not an integer') end
  local sum = integer(before) + integer(by)
  C.HSET(key, name, sum)
  return sum
end

local function without(found, key, ...)
  local gone = 0
  for _, name in ipairs({...}) do
    if found.items[name] then
      gone = gone + 1
      found.items[name] = nil
      for i, each in ipairs(found.names) do
        if each == name then remove(found.names, i) break end
      end
    end
  end
  if #found.names == 0 then dropped(key) end
  return gone
end

function C.HDEL(key, ...)
  local found = of(key, 'hash')
  return found and without(found, key, ...) or 0
end

function C.HEXISTS(key, name) return C.HGET(key, name) and 1 or 0 end

function C.HLEN(key) return #(of(key, 'hash') or {names = {}}).names end

function C.HKEYS(key)
  local out = {}
  for i, name in ipairs((of(key, 'hash') or {names = {}}).names) do out[i] = name end
  return out
end

function C.HGETALL(key)
  local found, out = of(key, 'hash'), {}
  for i, name in ipairs(found and found.names or {}) do out[2 * i - 1], out[2 * i] = name, found.items[name] end
  return out
end

-- Sets are hashes without values

local function set(key) return of(key, 'set') or {names = {}, items = {}} end

function C.SADD(key, ...)
  local found, new = made(key, 'set', {names = {}, items = {}}), 0
  for _, name in ipairs({...}) do
    name = text(name)
    if not found.items[name] then
      new = new + 1
      found.items[name] = true
      insert(found.names, name)
    end
  end
  return new
end

function C.SREM(key, ...) return without(set(key), key, ...) end

function C.SCARD(key) return #set(key).names end

function C.SISMEMBER(key, name) return set(key).items[name] and 1 or 0 end

function C.SMEMBERS(key)
  local out = {}
  for i, name in ipairs(set(key).names) do out[i] = name end
  return out
end

-- Lists

local function list(key) return of(key, 'list') or {} end

function C.RPUSH(key, ...)
  local found = made(key, 'list', {})
  for _, value in ipairs({...}) do insert(found, text(value)) end
  return #found
end

function C.LPOP(key)
  local found = list(key)
  local first = remove(found, 1) or false
  if #found == 0 then dropped(key) end
  return first
end

function C.LLEN(key) return #list(key) end

function C.LRANGE(key, first, last)
  local found, out = list(key), {}
  first, last = range(first, last, #found)
  for i = first, last do insert(out, found[i]) end
  return out
end

function C.LTRIM(key, first, last)
  local found = list(key)
  first, last = range(first, last, #found)
  for i = #found, last + 1, -1 do remove(found, i) end
  for _ = 1, math.min(first - 1, #found) do remove(found, 1) end
  if #found == 0 then dropped(key) end
  return {ok = 'OK'}
end

-- Streams: what is published, of which only the end is asked for

function C.XADD(key, ...)
  local found = made(key, 'stream', {added = 0})
  found.added = found.added + 1
  found.last = '1800000000000-' .. found.added
  return found.last
end

function C.XREVRANGE(key)
  local found = of(key, 'stream')
  return found and {{found.last, {}}} or {}
end

local sorted = assert(loadstring(SORTED_SETS, '@sorted_sets.lua'))()(of, made, dropped, range, text, integer, refuse)
for name, command in pairs(sorted) do C[name] = command end

-- Scripts

local function call(name, ...)
  local command = C[name] or error('there is no model of ' .. name, 0)
  return command(...)
end

local function raised(name, ...)
  local is_done, answer = pcall(call, name, ...)
  return answer
end

local function encoded(value)
  if type(value) == 'string' then return quote(value) end
  if type(value) ~= 'table' then return text(value) end
  local out = {}
  for i, each in ipairs(value) do out[i] = encoded(each) end
  if #out > 0 then return '[' .. table.concat(out, ',') .. ']' end
  for name, each in pairs(value) do insert(out, quote(name) .. ':' .. encoded(each)) end
  return '{' .. table.concat(out, ',') .. '}'
end

redis = {call = call, pcall = raised, sha1hex = sha1hex, error_reply = function(message) return {err = message} end}
cjson = {decode = decode, encode = encoded}

-- An answer as Python gets it: tables as (count, items…), numbers as integers.
local function plain(answer)
  if type(answer) == 'number' then return answer < 0 and math.ceil(answer) or floor(answer) end
  if type(answer) ~= 'table' then return answer end
  if answer.err or answer.ok then return answer end
  local out = {}
  for i, each in ipairs(answer) do out[i] = plain(each) end
  return out
end

local function load_script(digest, source)
  scripts[digest] = assert(loadstring(source, '@' .. digest))
end

local function run(digest, ...)
  KEYS, ARGV = {}, {...}
  return plain(scripts[digest]())
end

local function reset() values, expires = {}, {} end

return run, load_script, function(...) return plain(call(...)) end, reset
