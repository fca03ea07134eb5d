package redis

import (
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sluicegate/sluicegate/internal/idemstore"
)

// A record is a string: state, owner's token, attempts, epoch, fingerprint, and
// the milliseconds that it is kept after its lease, each followed by a NUL, which
// none of them holds; then 0, or 1 and the result. A record whose time is over is
// gone, by PEXPIRE: so what is left of a lease is what is left of the key less
// the time after it, on the server's clock, and a record that is not there can
// be claimed by one plain SET NX, which costs the server a fifth of a script.
// Numbers are whole, and small enough for Lua's to hold them exactly.

// fresh is the record of a claim on nothing.
func fresh(c idemstore.Claim) string {
	state := idemstore.Processing
	if c.Resume {
		state = idemstore.Resumed
	}
	return strings.Join([]string{
		string(state), c.Token, strconv.FormatInt(max(c.Attempt, 1), 10), "0", c.Fingerprint,
		strconv.FormatInt(millis(c.Retention), 10), "0",
	}, "\x00")
}

// ages is idemstore.Ages in milliseconds.
var ages = strconv.FormatInt(millis(idemstore.Ages), 10)

// Shared by the scripts: get reads the record of KEYS[1], with empty fields
// where there is none; put writes one, with the words of SET that say how long.
const library = `
local function get()
  local v = redis.call('GET', KEYS[1])
  if not v then return '', '', 0, 0, '', 0, '0' end
  local s, o, a, e, f, k, r = string.match(v, '^([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z([^%z]*)%z(.*)$')
  return s, o, tonumber(a), tonumber(e), f, tonumber(k), r
end
local function put(s, o, a, e, f, k, r, ...)
  redis.call('SET', KEYS[1], table.concat({s, o, string.format('%.0f', a), string.format('%.0f', e), f, string.format('%.0f', k), r}, '\0'), ...)
end
`

// claimScript: token, fingerprint, lease, retention, least attempt, whether to
// resume. The numbers
// of the verdicts are those of idemstore: 1 won, 2 takeover, 3 mine, 4 busy,
// 5 finished, 6 mismatch.
var claimScript = goredis.NewScript(library + `
local state, owner, attempt, epoch, known, keep, result = get()
local token, fp, lease, least, resume = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5]), ARGV[6] == '1'
if known ~= '' and fp ~= '' and known ~= fp then
  if state == 'resumed' then state = 'processing' end
  return {6, state, attempt, epoch, 0, 0, ''}
end
if state == 'done' then
  return {5, state, attempt, epoch, 0, tonumber(string.sub(result, 1, 1)), string.sub(result, 2)}
end
if state == 'dead' then
  return {5, state, attempt, epoch, 0, 0, ''}
end
if (state == 'parked' or state == 'resumed') and not resume then
  return {5, 'parked', attempt, epoch, 0, 0, ''}
end
local verdict = 1
if state == 'processing' or state == 'resumed' then
  local left = redis.call('PTTL', KEYS[1]) - keep
  if owner == token then
    verdict = 3
  elseif left > 0 then
    return {4, 'processing', attempt, epoch, left, 0, ''}
  else
    verdict = 2
  end
end
if verdict ~= 3 then
  attempt = attempt + 1
  if attempt < least then attempt = least end
end
if fp == '' then fp = known end
keep = tonumber(ARGV[4])
local next = 'processing'
if resume then
  next = 'resumed'
  local life = redis.call('PTTL', KEYS[1])
  if life == -1 then life = lease + ` + ages + ` end
  if life - lease > keep then keep = life - lease end
end
put(next, token, attempt, epoch, fp, keep, '0', 'PX', string.format('%.0f', lease + keep))
return {verdict, 'processing', attempt, epoch, 0, 0, ''}
`)

// extendScript: token, lease.
var extendScript = goredis.NewScript(library + `
local state, owner, _, _, _, keep = get()
if (state ~= 'processing' and state ~= 'resumed') or owner ~= ARGV[1] then return 0 end
local ends = tonumber(ARGV[2]) + keep
if ends > redis.call('PTTL', KEYS[1]) then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ends))
end
return 1
`)

// completeScript: token, retention, and 0 or 1 with the result. It takes the
// record apart no more than it must.
var completeScript = goredis.NewScript(`
local v = redis.call('GET', KEYS[1])
if not v then return 0 end
local mine = 'processing\0' .. ARGV[1] .. '\0'
if string.sub(v, 1, 8) == 'resumed\0' then mine = 'resumed\0' .. ARGV[1] .. '\0' end
if string.sub(v, 1, #mine) == mine then
  redis.call('SET', KEYS[1], 'done\0' .. ARGV[1] .. '\0' .. string.sub(v, #mine + 1, -2) .. ARGV[3], 'PX', ARGV[2])
  return 1
end
mine = 'done\0' .. ARGV[1] .. '\0'
if ARGV[1] ~= '' and string.sub(v, 1, #mine) == mine then return 1 end
return 0
`)

// releaseScript: token.
var releaseScript = goredis.NewScript(library + `
local state, owner, attempt, epoch, known, keep = get()
if (state ~= 'processing' and state ~= 'resumed') or owner ~= ARGV[1] then return 0 end
local to = 'released'
if state == 'resumed' then to = 'parked' end
put(to, '', attempt, epoch, known, keep, '0', 'KEEPTTL')
return 1
`)

// transitionScript: to, epoch, whether to add one to it, retention, from…; it
// answers with nothing, or with what it found instead.
var transitionScript = goredis.NewScript(library + `
local state, _, attempt, epoch, known, keep = get()
local allowed = false
for i = 5, #ARGV do
  if ARGV[i] == state or state == 'resumed' and (ARGV[i] == 'processing' or ARGV[i] == 'parked') then allowed = true end
end
if not allowed then
  if state == '' then return 'absent' end
  return state
end
if (state == 'processing' or state == 'resumed') and redis.call('PTTL', KEYS[1]) > keep then return 'processing and its lease has not ended' end
if epoch ~= tonumber(ARGV[2]) then return 'in another epoch' end
if ARGV[3] == '1' then epoch = epoch + 1 end
if ARGV[4] == '0' then
  put(ARGV[1], '', attempt, epoch, known, 0, '0')
else
  put(ARGV[1], '', attempt, epoch, known, 0, '0', 'PX', ARGV[4])
end
return ''
`)
