
-- Deliveries that are due: the oldest of each tenant, then the second oldest of each, and so on.
-- ARGV: 3 limit
-- Returns ids

local limit = tonumber(ARGV[3])
-- An earlier release notes in P:outbox alone when a delivery is due.
local rows = redis.call('ZRANGEBYSCORE', P .. ':outbox', '-inf', int(NOW), 'WITHSCORES', 'LIMIT', 0, limit)
for i = 1, #rows, 2 do
  local tenant = redis.call('HGET', P .. ':delivery:' .. rows[i], 'tenant')
  if tenant and redis.call('ZSCORE', P .. ':outbox:' .. tenant, rows[i]) ~= rows[i + 1] then
    set_due(rows[i], tenant, rows[i + 1])
  end
end

local found, first = {}, 0
local tenants = redis.call('ZRANGEBYSCORE', P .. ':outboxes', '-inf', int(NOW), 'LIMIT', 0, limit)
while #tenants > 0 and #found < limit do
  local share, more = math.ceil((limit - #found) / #tenants), {}
  for turn, tenant in ipairs(tenants) do
    local ids = redis.call('ZRANGEBYSCORE', P .. ':outbox:' .. tenant, '-inf', int(NOW), 'LIMIT', first, share)
    if #ids == share then more[#more + 1] = tenant end
    for place, id in ipairs(ids) do
      local due = redis.call('ZSCORE', P .. ':outbox', id) or ''
      if due ~= '' and tonumber(due) <= NOW then
        found[#found + 1] = {id = id, place = first + place, turn = turn}
      else
        set_due(id, tenant, due)
      end
    end
  end
  tenants, first = more, first + share
end
table.sort(found, function(a, b) if a.place == b.place then return a.turn < b.turn end return a.place < b.place end)
local ids = {}
for i = 1, math.min(limit, #found) do ids[i] = found[i].id end
return ids
