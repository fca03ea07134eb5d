package redis

// The scripts are sent whole each time: the server keeps one of each, and may
// forget it when it restarts. KEYS are the stream and the lease of the group's
// active member; ARGV begins with the group and the name of the member, which
// is the value of the lease as well.

// returned is the consumer that holds what members have handed back. It takes
// no part in anything: whoever claims next gets its entries.
const returned = "sluicegate-returned"

// ackScript marks the entries from ARGV[3] on that still belong to the member.
// Those of the active member do.
const ackScript = `
if redis.call('GET', KEYS[2]) == ARGV[2] then
  for i = 3, #ARGV, 1000 do
    redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
  end
  return 1
end
for i = 3, #ARGV do
  local id = ARGV[i]
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], id, ARGV[i], 1, ARGV[2])
  if p[1] then redis.call('XACK', KEYS[1], ARGV[1], ARGV[i]) end
end
return 1`

// beatScript renews the lease for ARGV[3] milliseconds, unless that is 0, and
// the claims on the entries from ARGV[4] on. It returns those that belong to
// somebody else. What is pending no more was acked or trimmed: nobody else
// will get it.
const beatScript = `
if ARGV[3] ~= '0' then
  if redis.call('GET', KEYS[2]) ~= ARGV[2] then return redis.error_reply('LEASELOST another member is active') end
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
end
local lost = {}
for i = 4, #ARGV do
  local id = ARGV[i]
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], id, ARGV[i], 1)
  if p[1] and p[1][2] == ARGV[2] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
  elseif p[1] then
    lost[#lost + 1] = ARGV[i]
  end
end
return lost`

// leaveScript hands back the entries from ARGV[4] on that still belong to the
// member, as idle for ARGV[3] milliseconds, gives up the lease, and removes
// the member from the group if nothing is pending for it: removing it with
// entries would lose them.
const leaveScript = `
for i = 4, #ARGV do
  local id = ARGV[i]
  local p = redis.call('XPENDING', KEYS[1], ARGV[1], id, ARGV[i], 1, ARGV[2])
  if p[1] then
    redis.call('XCLAIM', KEYS[1], ARGV[1], '` + returned + `', 0, ARGV[i], 'IDLE', ARGV[3], 'JUSTID')
  end
end
if redis.call('GET', KEYS[2]) == ARGV[2] then redis.call('DEL', KEYS[2]) end
local p = redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if not p[1] then redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2]) end
return 1`

// tidyScript removes members that have died and hold nothing any more: idle for
// ARGV[2] milliseconds and of the form that our names have.
const tidyScript = `
for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #c, 2 do consumer[c[i]] = c[i + 1] end
  if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[2]) and string.find(consumer['name'], '^sluicegate%-') then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
  end
end
return 1`

// trimScript removes what every group has acked and what is older than ARGV[1]
// milliseconds. A stream without a group is left alone.
const trimScript = `
local function before(a, b)
  local am, as = string.match(a, '(%d+)-(%d+)')
  local bm, bs = string.match(b, '(%d+)-(%d+)')
  am, as, bm, bs = tonumber(am), tonumber(as), tonumber(bm), tonumber(bs)
  return am < bm or am == bm and as < bs
end
local now = redis.call('TIME')
local floor = string.format('%.0f-0', math.max(0, now[1] * 1000 + math.floor(now[2] / 1000) - tonumber(ARGV[1])))
local groups = redis.call('XINFO', 'GROUPS', KEYS[1])
if #groups == 0 then return 0 end
for _, g in ipairs(groups) do
  local group = {}
  for i = 1, #g, 2 do group[g[i]] = g[i + 1] end
  local low = group['last-delivered-id']
  if group['pending'] > 0 then
    local p = redis.call('XPENDING', KEYS[1], group['name'])
    if p[2] and before(p[2], low) then low = p[2] end
  end
  if before(low, floor) then floor = low end
end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', floor)`
