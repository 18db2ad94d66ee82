-- The sorted sets of commands.lua: scores by member, and members in their order.
return function(of, made, dropped, range, text, integer, refuse)
  local Z = {}
  local none = {scores = {}, members = {}}

  local function zset(key) return of(key, 'zset') or none end

  local function score_of(value)
    local found = value == '+inf' and math.huge or value == '-inf' and -math.huge or tonumber(value)
    return found or refuse('ERR value is not a valid float')
  end

  -- Place of a member with a score, or where it would come.
  local function place(found, member, score)
    local low, high = 1, #found.members
    while low <= high do
      local middle = math.floor((low + high) / 2)
      local other = found.members[middle]
      local its = found.scores[other]
      if its < score or (its == score and other < member) then low = middle + 1 else high = middle - 1 end
    end
    return low
  end

  local function take(found, member)
    table.remove(found.members, place(found, member, found.scores[member]))
    found.scores[member] = nil
  end

  local function put(found, member, score)
    if found.scores[member] == score then return end
    if found.scores[member] then take(found, member) end
    table.insert(found.members, place(found, member, score), member)
    found.scores[member] = score
  end

  -- Members from a place to another one, in either direction, with their scores if that is asked for.
  local function items(found, first, last, step, with_scores)
    local out = {}
    for i = first, last, step do
      local member = found.members[i]
      out[#out + 1] = member
      if with_scores then out[#out + 1] = text(found.scores[member]) end
    end
    return out
  end

  function Z.ZADD(key, ...)
    local given, only = {...}, nil
    if given[1] == 'NX' or given[1] == 'XX' then only = table.remove(given, 1) end
    if only == 'XX' and not of(key, 'zset') then return 0 end
    local found, new = made(key, 'zset', {scores = {}, members = {}}), 0
    for i = 1, #given, 2 do
      local score, member = score_of(given[i]), text(given[i + 1])
      local is_there = found.scores[member] ~= nil
      if not (only == 'NX' and is_there or only == 'XX' and not is_there) then
        put(found, member, score)
        new = new + (is_there and 0 or 1)
      end
    end
    return new
  end

  function Z.ZREM(key, ...)
    local found, gone = zset(key), 0
    for _, member in ipairs({...}) do
      if found.scores[member] then
        take(found, member)
        gone = gone + 1
      end
    end
    if #found.members == 0 then dropped(key) end
    return gone
  end

  function Z.ZINCRBY(key, by, member)
    local found = made(key, 'zset', {scores = {}, members = {}})
    put(found, member, (found.scores[member] or 0) + score_of(by))
    return text(found.scores[member])
  end

  function Z.ZCARD(key) return #zset(key).members end

  function Z.ZSCORE(key, member)
    local score = zset(key).scores[member]
    return score and text(score) or false
  end

  function Z.ZMSCORE(key, ...)
    local out = {}
    for i, member in ipairs({...}) do out[i] = Z.ZSCORE(key, member) end
    return out
  end

  function Z.ZRANK(key, member)
    local found = zset(key)
    return found.scores[member] and place(found, member, found.scores[member]) - 1 or false
  end

  function Z.ZRANGE(key, first, last, option)
    local found = zset(key)
    first, last = range(first, last, #found.members)
    return items(found, first, last, 1, option == 'WITHSCORES')
  end

  function Z.ZREVRANGE(key, first, last, option)
    local found = zset(key)
    local count = #found.members
    first, last = range(first, last, count)
    return items(found, count + 1 - first, count + 1 - last, -1, option == 'WITHSCORES')
  end

  -- First and last place of the members whose scores are between two limits.
  local function between(found, low, high)
    local function limit(value)
      value = text(value)
      if string.sub(value, 1, 1) == '(' then return score_of(string.sub(value, 2)), true end
      return score_of(value), false
    end
    local least, is_above = limit(low)
    local most, is_below = limit(high)
    local first, last = 1, #found.members
    local function score(i) return found.scores[found.members[i]] end
    while first <= last and (score(first) < least or is_above and score(first) == least) do first = first + 1 end
    while first <= last and (score(last) > most or is_below and score(last) == most) do last = last - 1 end
    return first, last
  end

  local function options(...)
    local given, with_scores, skipped, most = {...}, false, 0, math.huge
    local i = 1
    while given[i] do
      if given[i] == 'WITHSCORES' then
        with_scores, i = true, i + 1
      elseif given[i] == 'LIMIT' then
        skipped, most, i = integer(given[i + 1]), integer(given[i + 2]), i + 3
      else
        refuse('ERR syntax error')
      end
    end
    return with_scores, skipped, most < 0 and math.huge or most
  end

  function Z.ZRANGEBYSCORE(key, low, high, ...)
    local found, with_scores, skipped, most = zset(key), options(...)
    local first, last = between(found, low, high)
    first = first + skipped
    return items(found, first, math.min(last, first + most - 1), 1, with_scores)
  end

  function Z.ZREVRANGEBYSCORE(key, high, low, ...)
    local found, with_scores, skipped, most = zset(key), options(...)
    local first, last = between(found, low, high)
    last = last - skipped
    return items(found, last, math.max(first, last - most + 1), -1, with_scores)
  end

  function Z.ZCOUNT(key, low, high)
    local first, last = between(zset(key), low, high)
    return last - first + 1
  end

  function Z.ZREMRANGEBYSCORE(key, low, high)
    local found = zset(key)
    local first, last = between(found, low, high)
    for _ = first, last do take(found, found.members[first]) end
    if #found.members == 0 then dropped(key) end
    return math.max(last - first + 1, 0)
  end

  function Z.ZPOPMIN(key, count)
    local found = zset(key)
    local out = items(found, 1, math.min(integer(count or 1), #found.members), 1, true)
    for i = 1, #out, 2 do take(found, out[i]) end
    if #found.members == 0 then dropped(key) end
    return out
  end

  function Z.ZRANGESTORE(target, key, first, last)
    local given = Z.ZRANGE(key, first, last, 'WITHSCORES')
    dropped(target)
    for i = 1, #given, 2 do Z.ZADD(target, given[i + 1], given[i]) end
    return #given / 2
  end

  return Z
end
