-- One call: the writes of a batch that concern one shard, in order, all of its keys in one slot.
--
-- The twin of `memlife_core::decide` for what it can say in few lines: puts and deletes of registers, additions to
-- small counters, touches, erasures, and every guard. At the first write that it cannot decide it stops and answers
-- `N`; the store then decides the rest in Rust and sends it back as effects, which hold only if the shard's `seq` is
-- still the one that they were decided upon.
--
-- First everything is read and decided, then everything is written: a script that fails midway is not rolled back.
-- Stamps are two integers, and no number reaches 2^53, beyond which a Lua number is no longer exact.
--
-- KEYS  1 ledger, 2 keys in order, 3 changes, 4 removals, 5 usage, 6 last reply, 7-11 due index by class, 12.. records
-- ARGV  1 replica, 2 `seq` the effects were decided upon or '', 3 wall clock in ms or '' for the server's,
--       4 token or '', 5 step, 6 number of the call in its lane, 7 ms to keep the reply, 8 bytes before the key in a
--       record's name, 9 removals to keep, 10 ms to keep removals and tombstones, 11 ms of native expiry beyond the due
--       instant, 12 channel to wake, 13 clock after the effects, 14 the latest clock that the caller saw of any shard,
--       15 placements, then these, 16.. writes of three: fixed part, writer, body or answer

local LEDGER, ORDERED, CHANGES, REMOVALS, USAGE, LAST, DUE, RECORDS = 1, 2, 3, 4, 5, 6, 7, 11
local HEAD = '>BBBBBBI7I7I6I2c8I6I2c8I6I6I6I6I6I2I4I4I4I2I2I2'
local HEAD_BYTES, CHECK_BYTES, PEEK = 102, 8, 1024
local FORMAT, MAX_MS, EPOCH_STEP = 1, 281474976710655, 4294967296
local LWW, COUNTER = 0, 2
local TOMBSTONE, UNJUDGED_CLASS, MANUAL = 3, 4, 2
local BY_RULE, BY_CALLER, UNJUDGED = 0, 1, 2
local EXPIRED, DELETED = 0, 1

local replica, upon, token, step = ARGV[1], ARGV[2], ARGV[4], tonumber(ARGV[5])
local number, name_bytes = tonumber(ARGV[6]), tonumber(ARGV[8])
local keep_ms = tonumber(ARGV[10])

local function whole(n) return string.format('%.0f', n) end

---- records ------------------------------------------------------------------------------------------------------

local loaded = {}

local function key_of(i) return string.sub(KEYS[RECORDS + i], name_bytes + 1) end

local function check_of(key, head) return string.sub(redis.sha1hex(key .. '\0' .. head), 1, CHECK_BYTES) end

-- The record that `text` begins with, or nil when its head is damaged.
local function parse(i, text)
  if #text < HEAD_BYTES + 7 then return nil end
  local r, format, flags, kind_len, rule_len, writer_len = {}, nil, nil, nil, nil, nil
  format, r.kind, flags, r.origin, r.class, r.codec, r.seq, r.version, r.ms, r.c, r.replica, r.epoch_ms, r.epoch_c,
    r.epoch_replica, r.expires, r.created, r.keep, r.ttl, r.kind_ms, r.kind_c, r.siblings, r.raw_len, r.stored_len,
    kind_len, rule_len, writer_len = struct.unpack(HEAD, text)
  local rule_at = HEAD_BYTES + 8 + kind_len
  local check_at = rule_at + rule_len + writer_len
  r.head_len = check_at + CHECK_BYTES - 1
  if #text == PEEK and r.head_len > PEEK then text = redis.call('GETRANGE', KEYS[RECORDS + i], 0, r.head_len - 1) end
  local check = string.sub(text, check_at, r.head_len)
  if format ~= FORMAT or check ~= check_of(key_of(i), string.sub(text, 1, check_at - 1)) then return nil end
  r.locator = struct.unpack('>I7', text, HEAD_BYTES + 1)
  r.kind_name = string.sub(text, HEAD_BYTES + 8, rule_at - 1)
  r.rule = string.sub(text, rule_at, rule_at + rule_len - 1)
  r.writer = string.sub(text, rule_at + rule_len, check_at - 1)
  r.alive, r.has_expiry = flags % 2 >= 1, flags % 4 >= 2
  r.has_ttl, r.has_writer, r.has_body = flags % 8 >= 4, flags % 16 >= 8, flags % 32 >= 16
  r.head = string.sub(text, 1, r.head_len)
  if #text < PEEK then r.body = string.sub(text, r.head_len + 1) end
  return r
end

-- The record at place `i`: false where there is none, nil where it is damaged.
local function load(i)
  if loaded[i] == nil then
    local text = redis.call('GETRANGE', KEYS[RECORDS + i], 0, PEEK - 1)
    loaded[i] = { record = text ~= '' and parse(i, text) }
  end
  return loaded[i].record
end

local function body_of(i, r)
  if not r.body then r.body = redis.call('GETRANGE', KEYS[RECORDS + i], r.head_len, -1) end
  return r.body
end

local function copy(r)
  local other = {}
  for name, value in pairs(r) do other[name] = value end
  return other
end

-- Writes the head of `r` anew.
local function seal(i, r)
  local flags = (r.alive and 1 or 0) + (r.has_expiry and 2 or 0) + (r.has_ttl and 4 or 0)
    + (r.has_writer and 8 or 0) + (r.has_body and 16 or 0)
  local head = struct.pack(HEAD, FORMAT, r.kind, flags, r.origin, r.class, r.codec, r.seq, r.version, r.ms, r.c,
    r.replica, r.epoch_ms, r.epoch_c, r.epoch_replica, r.expires, r.created, r.keep, r.ttl, r.kind_ms, r.kind_c,
    r.siblings, r.raw_len, r.stored_len, #r.kind_name, #r.rule, #r.writer)
    .. struct.pack('>I7', r.locator) .. r.kind_name .. r.rule .. r.writer
  r.head = head .. check_of(key_of(i), head)
  r.head_len = #r.head
end

local function reclaim_at(r)
  if r.class == TOMBSTONE then return r.keep end
  if r.class == UNJUDGED_CLASS then return r.ms end
  return r.has_expiry and r.expires or nil
end

---- what was said, ledger and clock ------------------------------------------------------------------------------

local kept = token ~= '' and redis.call('GET', KEYS[LAST])
kept = kept and cmsgpack.unpack(kept)
if kept and kept[2] == token then
  local said = kept[3][step + 1]
  if said then return { 'ok', said } end
elseif kept and kept[1] >= number then
  -- Either a call that was overtaken on its way, to which nobody listens any more, or another handle's session.
  return { 'late', { whole(kept[1]) } }
end

local ledger = redis.call('HMGET', KEYS[LEDGER], 's', 'ms', 'c', 'e', 'g')
local seq, ms, c = tonumber(ledger[1] or 0), tonumber(ledger[2] or 0), tonumber(ledger[3] or 0)
-- How long dead entries wait for replicas.
local grace = tonumber(ledger[5] or 0)
local time = ARGV[3] == '' and redis.call('TIME')
-- Each shard has a clock of its own; what the caller saw of another shard's counts here, too.
if tonumber(ARGV[14]) > ms then ms, c = tonumber(ARGV[14]), 0 end
local wall = time and (time[1] * 1000 + math.floor(time[2] / 1000)) or tonumber(ARGV[3])
local server = redis.pcall('INFO', 'server')
local run = type(server) == 'string' and string.match(server, 'run_id:(%w+)') or '-'

local function info() return struct.pack('>I7I6I2I6', seq, ms, c, wall) end

-- Another server process may have lost the last changes: what it numbers from now on repeats no number given out.
if ledger[1] and ledger[4] ~= run then
  seq = seq + EPOCH_STEP
  if upon ~= '' then redis.call('HSET', KEYS[LEDGER], 's', whole(seq), 'e', run) end
end
if upon ~= '' and upon ~= whole(seq) then return { 'moved', { info() } } end

local function tick()
  if wall > ms then
    ms, c = wall, 0
  elseif c < 65535 then
    c = c + 1
  elseif ms < MAX_MS then
    ms, c = ms + 1, 0
  end
end

local function next_seq()
  -- Whatever commits tells the clock: what was expired by then stays so though the wall steps back.
  if wall > ms then ms, c = wall, 0 end
  seq = seq + 1
  return seq
end

local function plus(at, by) return math.min(at + by, MAX_MS) end

---- answers ------------------------------------------------------------------------------------------------------

local function shown(i, r, reply)
  if reply == 0 or not r then return '\0' end
  if reply == 1 then return '\1' .. r.head end
  return '\1' .. r.head .. body_of(i, r)
end

local function applied(i, r, reply)
  return struct.pack('>c1I7I6I2c8BI6I4', 'A', r.version, r.ms, r.c, r.replica, r.has_expiry and 1 or 0, r.expires, 0)
    .. shown(i, r, reply)
end

---- counters -----------------------------------------------------------------------------------------------------

-- The CRC-32 of a body, by half bytes: a table of 16 is made faster than it is missed.
local function crc32(text)
  local xor, band, shift = bit.bxor, bit.band, bit.rshift
  local steps = { [0] = 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
    0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c }
  local sum = -1
  for at = 1, #text do
    sum = xor(sum, string.byte(text, at))
    sum = xor(shift(sum, 4), steps[band(sum, 15)])
    sum = xor(shift(sum, 4), steps[band(sum, 15)])
  end
  return band(xor(sum, -1), 0xffffffff)
end

-- A number of a state and where the next one starts; nil where it is cut short or too large to be exact here.
local function varint(text, at)
  local first = string.byte(text, at)
  if not first or first <= 250 then return first, at + 1 end
  local size = first == 251 and 2 or first == 252 and 4 or first == 253 and 8 or 0
  if size == 0 or at + size > #text then return nil end
  local n = struct.unpack('<I' .. size, text, at + 1)
  if n >= 9007199254740992 then return nil end
  return n, at + 1 + size
end

local function varint_of(n)
  if n <= 250 then return string.char(n) end
  if n < 65536 then return '\251' .. struct.pack('<I2', n) end
  if n < 4294967296 then return '\252' .. struct.pack('<I4', n) end
  return '\253' .. struct.pack('<I8', n)
end

-- The state after `amount` was added to this store's row, which must be its only one; nil where Rust has to.
local function added(payload, sign, amount, generation)
  local row = { generation, 0, 0, 0, 0, 0, 0 }
  if payload then
    if string.sub(payload, 1, 2) ~= '\255\1' or string.sub(payload, 3, 10) ~= replica then return nil end
    local mask, at = string.byte(payload, 11), 12
    if not mask then return nil end
    for n = 1, 7 do
      row[n] = 0
      if bit.band(mask, bit.lshift(1, n - 1)) ~= 0 then
        row[n], at = varint(payload, at)
        if not row[n] then return nil end
      end
    end
    if at ~= #payload + 1 then return nil end
  end
  local column = sign == 0 and 2 or 3
  row[column], row[4] = row[column] + amount, row[4] + 1
  if row[column] >= 9007199254740992 or row[4] >= 9007199254740992 then return nil end
  local mask, numbers = 0, ''
  for n = 1, 7 do
    if row[n] ~= 0 then mask, numbers = mask + 2 ^ (n - 1), numbers .. varint_of(row[n]) end
  end
  return '\255\1' .. replica .. string.char(mask) .. numbers
end

local function framed(payload)
  local front = '\1\2\0\0\0\0\0\0' .. struct.pack('<I4', #payload)
  return front .. struct.pack('<I4', crc32(front .. payload) % EPOCH_STEP) .. payload
end

-- The body of the counter `r`, or of a new one, after an addition.
local function counted(w, r, placement)
  if not w.has_amount then return nil end
  local payload
  if r then
    local body = body_of(w.i, r)
    if #body < 16 or string.byte(body, 2) ~= 2 or string.byte(body, 3) ~= 0 then return nil end
    -- A damaged state is told by whoever decodes it, not added to.
    if crc32(string.sub(body, 1, 12) .. string.sub(body, 17)) % EPOCH_STEP ~= struct.unpack('<I4', body, 13) then
      return nil
    end
    payload = string.sub(body, 17)
  end
  payload = added(payload, w.sign, w.amount, seq + 1)
  if not payload or (placement.threshold > 0 and #payload >= placement.threshold) then return nil end
  return framed(payload)
end

---- decisions ----------------------------------------------------------------------------------------------------

local effects = {}

-- Carried out once everything is decided; later writes of the batch see it already.
local function take(w, old, new, effect)
  effect.i, effect.old, effect.new, effect.system, effect.namespace = w.i, old, new, w.system, w.namespace
  effects[#effects + 1] = effect
  loaded[w.i] = { record = new or false }
end

local function ended(seen, current, cause)
  if seen then return cause end
  return current and current.alive and EXPIRED or nil
end

-- When what is written now expires, and who decided that.
local function give_life(r, seen, p, adds)
  r.epoch_ms, r.epoch_c, r.epoch_replica, r.origin = r.ms, r.c, r.replica, p.origin
  r.has_expiry, r.expires = false, 0
  if p.mode == 1 then r.has_expiry, r.expires = true, plus(r.ms, p.expiry) end
  if p.mode == 2 then r.has_expiry, r.expires = true, p.expiry end
  if p.mode == 3 then
    if seen then
      r.epoch_ms, r.epoch_c, r.epoch_replica, r.origin = seen.epoch_ms, seen.epoch_c, seen.epoch_replica, seen.origin
      r.has_expiry, r.expires = seen.has_expiry, seen.expires
      return
    end
    if p.has_ttl then r.has_expiry, r.expires = true, plus(r.ms, p.ttl) end
  end
  if seen and adds then
    -- Adding to what lives renews it: the longer of both lives holds.
    r.epoch_ms, r.epoch_c, r.epoch_replica = seen.epoch_ms, seen.epoch_c, seen.epoch_replica
    local longer = seen.has_expiry and (not r.has_expiry or r.expires > seen.expires)
    if not longer then r.has_expiry, r.expires, r.origin = seen.has_expiry, seen.expires, seen.origin end
  end
end

local function write_content(w, current, seen, p, kind, body, alive, now)
  if current and current.kind ~= kind then return nil end
  local ms_before, c_before = ms, c
  tick()
  if kind ~= LWW and seen and (seen.ms > ms or (seen.ms == ms and seen.c >= c)) then
    -- A reading from the end of time: the entry's stamp is the later of both.
    ms, c = ms_before, c_before
    return nil
  end
  local r = { kind = kind, kind_name = '', alive = alive, ms = ms, c = c, replica = replica }
  r.kind_ms, r.kind_c = current and current.kind_ms or 0, current and current.kind_c or 0
  r.seq = next_seq()
  r.version, r.locator = r.seq, current and current.locator or r.seq
  r.created = seen and seen.created or r.ms
  r.has_ttl, r.ttl, r.rule = p.has_ttl, p.ttl, p.rule
  r.has_writer, r.writer = w.has_writer, w.writer
  r.siblings = alive and 1 or 0
  r.has_body, r.body, r.codec, r.raw_len, r.stored_len = body ~= nil, body or '', 0, 0, 0
  if body then r.codec, r.raw_len, r.stored_len = string.byte(body, 3), struct.unpack('<I4', body, 9), #body end
  r.keep, r.class = 0, p.class
  if alive then
    local adds = kind == COUNTER and p.origin == BY_RULE
    give_life(r, seen, p, adds)
  else
    r.epoch_ms, r.epoch_c, r.epoch_replica, r.has_expiry, r.expires, r.origin =
      seen.epoch_ms, seen.epoch_c, seen.epoch_replica, seen.has_expiry, seen.expires, seen.origin
    r.class, r.keep = TOMBSTONE, plus(math.max(now, r.ms), keep_ms)
  end
  seal(w.i, r)
  take(w, current, r, { ended = ended(seen, current, not alive and DELETED or nil) })
  return applied(w.i, r, w.reply)
end

local function operate(w, current, seen, p, now)
  if w.op == 'D' and not seen then return 'U' .. shown(w.i, current, w.reply) end
  local kind = seen and seen.kind or p.kind
  if kind == LWW and p.kind == LWW and w.op ~= '+' then
    if w.op == 'D' then return write_content(w, current, seen, p, LWW, nil, false, now) end
    return write_content(w, current, seen, p, LWW, w.body, true, now)
  end
  -- What is left of a counter that ended is reset first, and setting one resets it, too: both are Rust's.
  if kind == COUNTER and (w.op == '+' or w.op == 'P') and (seen or not current) then
    local body = counted(w, seen, p)
    return body and write_content(w, current, seen, p, COUNTER, body, true, now)
  end
  return nil
end

-- The expiry that a touch asks for: whether it asks for one at all, whether there is one, and which.
local function retouched(w, seen, now)
  local function rank(has, at) return has and at or math.huge end
  local has, at = false, 0
  if w.mode == 1 then has, at = true, plus(now, w.amount) end
  if w.mode == 2 then has, at = true, w.amount end
  if w.mode == 3 then has, at = seen.has_expiry, seen.expires end
  local before, after = rank(seen.has_expiry, seen.expires), rank(has, at)
  if w.touch == 1 and after <= before then return false end
  if w.touch == 2 and after >= before then return false end
  if w.touch == 3 and after - before < math.max(math.floor(w.amount / 8), 1) then return false end
  return true, has, at
end

local function touch(w, current, seen, now)
  local nothing = 'U' .. shown(w.i, current, w.reply)
  if not seen then return nothing end
  local wanted, has, at = retouched(w, seen, now)
  if not wanted then return nothing end
  local same = has == seen.has_expiry and (not has or at == seen.expires)
  if same and (w.touch == 3 or seen.origin == BY_CALLER) then return nothing end
  local r = copy(seen)
  r.body = body_of(w.i, seen)
  -- A refresh keeps its epoch, so that a concurrent write or delete beats it; a wish starts a new one.
  if w.touch == 3 then
    r.origin = BY_RULE
  else
    tick()
    r.epoch_ms, r.epoch_c, r.epoch_replica, r.origin = ms, c, replica, BY_CALLER
  end
  r.has_expiry, r.expires = has, at
  r.seq = next_seq()
  seal(w.i, r)
  take(w, current, r, {})
  return applied(w.i, r, w.reply)
end

local function guard_holds(w, current, seen, now)
  if w.guard == 0 then return true end
  if w.guard == 1 then return not seen end
  if w.guard == 2 then return seen end
  if w.guard == 3 then return seen and seen.version == w.version end
  local at = current and not seen and reclaim_at(current)
  return at and plus(at, grace) <= now
end

-- The answer to one write, or nil when it is not decided here.
local function decide(w, p)
  local current = load(w.i)
  if current == nil or (current and (current.origin == UNJUDGED or current.class == UNJUDGED_CLASS)) then return nil end
  current = current or nil
  local now = math.max(wall, ms)
  local seen = current and current.alive and (not current.has_expiry or now < current.expires) and current or nil
  if not guard_holds(w, current, seen, now) then return 'R' .. shown(w.i, seen or current, w.reply) end
  if w.op == 'T' then return touch(w, current, seen, now) end
  if w.op ~= 'E' then return operate(w, current, seen, p, now) end
  if not current then return 'U\0' end
  local answer = 'E' .. shown(w.i, current, w.reply)
  take(w, current, nil, { ended = ended(seen, current, w.cause), cause = w.cause, seq = next_seq() })
  return answer
end

-- Takes over what Rust has decided; its records bring their own numbers.
local function carry_out(w)
  local old = load(w.i)
  if w.op == 'p' then
    local r = parse(w.i, w.body)
    r.body = string.sub(w.body, r.head_len + 1)
    if old then r.locator = old.locator else r.locator = r.seq end
    seal(w.i, r)
    seq = r.seq
    take(w, old or nil, r, { ended = w.ended })
  elseif w.op == 'e' then
    seq = w.amount
    take(w, old or nil, nil, { ended = w.ended, cause = w.cause, seq = seq })
  end
  return w.answer
end

---- the batch ----------------------------------------------------------------------------------------------------

local placements, at = {}, 16
for n = 1, tonumber(ARGV[15]) do
  local p, has_ttl, from = {}, nil, nil
  p.kind, p.class, p.origin, p.mode, p.expiry, has_ttl, p.ttl, p.threshold, from =
    struct.unpack('>BBBBI6BI6I4', ARGV[at])
  p.has_ttl, p.rule = has_ttl == 1, string.sub(ARGV[at], from)
  placements[n], at = p, at + 1
end

local answers = { info() }
while at <= #ARGV do
  local w, has_amount, has_writer, system, namespace_len, ended_code = {}, nil, nil, nil, nil, nil
  w.i, w.op, w.guard, w.version, w.reply, w.place, system, namespace_len, has_writer, w.touch, w.mode, has_amount,
    w.sign, w.amount, w.cause, ended_code = struct.unpack('>I2c1BI7BI2BI2BBBBBI7BB', ARGV[at])
  w.system, w.has_writer, w.has_amount = system == 1, has_writer == 1, has_amount == 1
  w.namespace = string.sub(key_of(w.i), 1, namespace_len)
  w.writer, w.body, w.answer = ARGV[at + 1], ARGV[at + 2], ARGV[at + 1]
  w.ended = ended_code < 255 and ended_code or nil
  at = at + 3
  local answer
  if upon == '' then answer = decide(w, placements[w.place]) else answer = carry_out(w) end
  answers[#answers + 1] = answer or 'N'
  if not answer then break end
end
if upon ~= '' and #effects > 0 then
  local clock = struct.unpack('>I6', ARGV[13])
  ms, c = clock, struct.unpack('>I2', ARGV[13], 7)
end
answers[1] = info()

---- carrying out -------------------------------------------------------------------------------------------------

local groups, changes = {}, {}

local function count(effect, r, by)
  if not r or not r.alive or effect.system then return end
  local group = r.rule .. '\0' .. effect.namespace
  local sum = changes[group]
  if not sum then
    sum = { 0, 0, 0, 0 }
    changes[group], groups[#groups + 1] = sum, group
  end
  sum[1], sum[2], sum[3] = sum[1] + by, sum[2] + by * r.stored_len, sum[3] + by * r.raw_len
  sum[4] = sum[4] + (r.codec ~= 0 and by or 0)
end

for _, effect in ipairs(effects) do
  count(effect, effect.old, -1)
  count(effect, effect.new, 1)
end
local tallies = {}
for _, group in ipairs(groups) do tallies[group] = redis.call('HGET', KEYS[USAGE], group) end

local function due_member(i, r)
  local instant = r and reclaim_at(r)
  return instant and struct.pack('>I6I7', instant, r.locator) .. key_of(i)
end

local function reindex(effect)
  local i, old, new = effect.i, effect.old, effect.new
  local key, was, is = key_of(i), due_member(i, old), due_member(i, new)
  if was and (was ~= is or old.class ~= new.class) then redis.call('ZREM', KEYS[DUE + old.class], was) end
  if is and (was ~= is or old.class ~= new.class) then redis.call('ZADD', KEYS[DUE + new.class], 0, is) end
  if new and not old then redis.call('ZADD', KEYS[ORDERED], 0, key) end
  if not new then redis.call('ZREM', KEYS[ORDERED], key) end
  if effect.system then return end
  if new then
    redis.call('ZADD', KEYS[CHANGES], whole(new.seq), key)
  elseif old then
    redis.call('ZREM', KEYS[CHANGES], key)
    local member = struct.pack('>BI6I7', effect.cause, math.max(wall, ms), effect.seq) .. key
    redis.call('ZADD', KEYS[REMOVALS], whole(effect.seq), member)
  end
end

local function store(effect)
  local name, r = KEYS[RECORDS + effect.i], effect.new
  if not r then return redis.call('DEL', name) end
  local instant = r.class ~= MANUAL and r.class ~= UNJUDGED_CLASS and reclaim_at(r)
  local value = r.head .. r.body
  if not instant then return redis.call('SET', name, value) end
  -- Long after a sweep should have come: a safety net for a store that nobody sweeps.
  redis.call('SET', name, value, 'PX', whole(math.max(instant - wall, 0) + tonumber(ARGV[11])))
end

-- Drops removals that are both old and many; who has not read them yet is told of the gap.
local function forget()
  local excess = redis.call('ZCARD', KEYS[REMOVALS]) - tonumber(ARGV[9])
  local gone = 0
  while gone < math.min(excess, 200) do
    local oldest = redis.call('ZRANGE', KEYS[REMOVALS], 0, 0)
    if math.max(wall, ms) - struct.unpack('>I6', oldest[1], 2) <= keep_ms then return end
    redis.call('ZREM', KEYS[REMOVALS], oldest[1])
    redis.call('HSET', KEYS[LEDGER], 'f', whole(struct.unpack('>I7', oldest[1], 8)))
    gone = gone + 1
  end
end

if #effects > 0 then
  redis.call('HSET', KEYS[LEDGER], 's', whole(seq), 'ms', whole(ms), 'c', whole(c), 'e', run)
  local removes = false
  for _, effect in ipairs(effects) do
    store(effect)
    reindex(effect)
    removes = removes or not effect.new
    if effect.ended and not effect.system then redis.call('HINCRBY', KEYS[LEDGER], 'r' .. effect.ended, 1) end
  end
  for _, group in ipairs(groups) do
    local sum = changes[group]
    if tallies[group] then
      local tally = { struct.unpack('>I6I7I7I6', tallies[group]) }
      for n = 1, 4 do sum[n] = math.max(sum[n] + tally[n], 0) end
    end
    if sum[1] <= 0 then
      redis.call('HDEL', KEYS[USAGE], group)
    else
      redis.call('HSET', KEYS[USAGE], group, struct.pack('>I6I7I7I6', unpack(sum)))
    end
  end
  if removes then forget() end
  -- Waking is a courtesy: whoever may not publish still writes.
  redis.pcall('PUBLISH', ARGV[12], '')
end

if token ~= '' then
  local said = kept and kept[2] == token and kept[3] or {}
  said[step + 1] = answers
  redis.call('SET', KEYS[LAST], cmsgpack.pack({ number, token, said }), 'PX', ARGV[7])
end
-- Whoever decided in Rust has the answers.
if upon ~= '' then return { 'done', { info() } } end
return { 'ok', answers }
