package redis

import goredis "github.com/redis/go-redis/v9"

// A record is a hash: s state, o owner's token, a attempts, e epoch, f
// fingerprint, l end of the lease in ms, k retention in ms after the lease, r
// result. Times are the server's, in whole milliseconds, which Lua's numbers
// hold exactly. A record whose time is over is gone, by PEXPIRE.

// claimScript: token, fingerprint, lease, retention, least attempt. The numbers
// of the verdicts are those of idemstore: 1 won, 2 takeover, 3 mine, 4 busy,
// 5 finished, 6 mismatch.
var claimScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local h = redis.call('HMGET', KEYS[1], 's', 'o', 'a', 'e', 'f', 'l', 'r')
local state, attempt, epoch = h[1] or '', tonumber(h[3] or '0'), tonumber(h[4] or '0')
local known, ends = h[5] or '', tonumber(h[6] or '0')
local token, fp, lease, keep, least = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if known ~= '' and fp ~= '' and known ~= fp then
  return {6, state, attempt, epoch, 0, 0, ''}
end
if state == 'done' then
  local has = 0
  if h[7] then has = 1 end
  return {5, state, attempt, epoch, 0, has, h[7] or ''}
end
if state == 'parked' or state == 'dead' then
  return {5, state, attempt, epoch, 0, 0, ''}
end
local verdict = 1
if state == 'processing' then
  if h[2] == token then
    verdict = 3
  elseif ends > now then
    return {4, state, attempt, epoch, ends - now, 0, ''}
  else
    verdict = 2
  end
end
if verdict ~= 3 then
  attempt = attempt + 1
  if attempt < least then attempt = least end
end
if fp == '' then fp = known end
redis.call('HSET', KEYS[1], 's', 'processing', 'o', token, 'a', string.format('%.0f', attempt),
  'e', string.format('%.0f', epoch), 'f', fp, 'l', string.format('%.0f', now + lease), 'k', string.format('%.0f', keep))
redis.call('HDEL', KEYS[1], 'r')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lease + keep))
return {verdict, 'processing', attempt, epoch, 0, 0, ''}
`)

// extendScript: token, lease.
var extendScript = goredis.NewScript(`
local h = redis.call('HMGET', KEYS[1], 's', 'o', 'l', 'k')
if h[1] ~= 'processing' or h[2] ~= ARGV[1] then return 0 end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lease = tonumber(ARGV[2])
if now + lease > tonumber(h[3]) then
  redis.call('HSET', KEYS[1], 'l', string.format('%.0f', now + lease))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', lease + tonumber(h[4])))
end
return 1
`)

// completeScript: token, retention, whether there is a result, result.
var completeScript = goredis.NewScript(`
local h = redis.call('HMGET', KEYS[1], 's', 'o')
if h[2] ~= ARGV[1] then return 0 end
if h[1] == 'done' then return 1 end
if h[1] ~= 'processing' then return 0 end
redis.call('HSET', KEYS[1], 's', 'done', 'l', '0')
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'r', ARGV[4]) end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

// releaseScript: token.
var releaseScript = goredis.NewScript(`
local h = redis.call('HMGET', KEYS[1], 's', 'o')
if h[1] ~= 'processing' or h[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 's', 'released', 'o', '', 'l', '0')
return 1
`)

// transitionScript: to, epoch, whether to add one to it, retention, from…; it
// answers with nothing, or with what it found instead.
var transitionScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local h = redis.call('HMGET', KEYS[1], 's', 'e', 'l')
local state, epoch = h[1] or '', tonumber(h[2] or '0')
local allowed = false
for i = 5, #ARGV do
  if ARGV[i] == state then allowed = true end
end
if not allowed then
  if state == '' then return 'absent' end
  return state
end
if state == 'processing' and tonumber(h[3]) > now then return 'processing and its lease has not ended' end
if epoch ~= tonumber(ARGV[2]) then return 'in another epoch' end
if ARGV[3] == '1' then epoch = epoch + 1 end
redis.call('HSET', KEYS[1], 's', ARGV[1], 'o', '', 'e', string.format('%.0f', epoch), 'l', '0')
redis.call('HDEL', KEYS[1], 'r')
if ARGV[4] == '0' then
  redis.call('PERSIST', KEYS[1])
else
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
return ''
`)
