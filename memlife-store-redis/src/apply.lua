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
--       4 batches, each its token and how many of the writes are its own, 5 step, 6 number of the call in its lane,
--       7 ms to keep the reply, 8 bytes before the key in a record's name, 9 removals to keep, 10 ms to keep removals
--       and tombstones, 11 ms of native expiry beyond the due instant, 12 channel to wake or '', 13 clock after the
--       effects, 14 the latest clock that the caller saw of any shard, 15 epoch that this text is bound to or '',
--       16 '1' to keep what was said to other batches, 17 placements, then these, then writes of three: fixed part,
--       writer, body or answer

local LEDGER, ORDERED, CHANGES, REMOVALS, USAGE, LAST, DUE, RECORDS = 1, 2, 3, 4, 5, 6, 7, 11
local HEAD = '>BBBBBBI7I7I6I2c8I6I2c8I6I6I6I6I6I2I4I4I4I2I2I2'
local HEAD_BYTES, CHECK_BYTES, PEEK = 102, 8, 256
local FORMAT, MAX_MS, EPOCH_STEP = 1, 281474976710655, 4294967296
local LWW, COUNTER = 0, 2
local TOMBSTONE, UNJUDGED_CLASS, MANUAL = 3, 4, 2
local BY_RULE, BY_CALLER, UNJUDGED = 0, 1, 2
local EXPIRED, DELETED = 0, 1
local DAMAGED = 0

local replica, upon, step, number = ARGV[1], ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6])
local name_bytes = tonumber(ARGV[8])
local keep_ms = tonumber(ARGV[10])

local function whole(n) return string.format('%d', n) end

---- records ------------------------------------------------------------------------------------------------------

local loaded, texts, names = {}, {}, {}

local function key_of(i)
  local key = names[i]
  if not key then
    key = string.sub(KEYS[RECORDS + i], name_bytes + 1)
    names[i] = key
  end
  return key
end

local function check_of(key, head) return string.sub(redis.sha1hex(key .. '\0' .. head), 1, CHECK_BYTES) end

-- The record that `text` begins with, or nil when its head is damaged. Tables are made whole, which costs least.
local function parse(i, text)
  if #text < HEAD_BYTES + 7 then return nil end
  local format, kind, flags, origin, class, codec, version_seq, version, stamp_ms, stamp_c, writer_replica, epoch_ms,
    epoch_c, epoch_replica, expires, created, keep, ttl, kind_ms, kind_c, siblings, raw_len, stored_len, kind_len,
    rule_len, writer_len, locator = struct.unpack(HEAD .. 'I7', text)
  local rule_at = HEAD_BYTES + 8 + kind_len
  local check_at = rule_at + rule_len + writer_len
  local head_len = check_at + CHECK_BYTES - 1
  if #text == PEEK and head_len > PEEK then text = redis.call('GETRANGE', KEYS[RECORDS + i], 0, head_len - 1) end
  local check = string.sub(text, check_at, head_len)
  if format ~= FORMAT or check ~= check_of(key_of(i), string.sub(text, 1, check_at - 1)) then return nil end
  return {
    kind = kind, origin = origin, class = class, codec = codec, seq = version_seq, version = version, ms = stamp_ms,
    c = stamp_c, replica = writer_replica, epoch_ms = epoch_ms, epoch_c = epoch_c, epoch_replica = epoch_replica,
    expires = expires, created = created, keep = keep, ttl = ttl, kind_ms = kind_ms, kind_c = kind_c,
    siblings = siblings, raw_len = raw_len, stored_len = stored_len, locator = locator, head_len = head_len,
    kind_name = string.sub(text, HEAD_BYTES + 8, rule_at - 1), rule = string.sub(text, rule_at, rule_at + rule_len - 1),
    writer = string.sub(text, rule_at + rule_len, check_at - 1), alive = flags % 2 >= 1, has_expiry = flags % 4 >= 2,
    has_ttl = flags % 8 >= 4, has_writer = flags % 16 >= 8, has_body = flags % 32 >= 16,
    head = string.sub(text, 1, head_len), body = #text < PEEK and string.sub(text, head_len + 1) or nil,
  }
end

-- How the record at place `i` begins.
local function peek(i)
  local text = texts[i]
  if not text then
    text = redis.call('GETRANGE', KEYS[RECORDS + i], 0, PEEK - 1)
    texts[i] = text
  end
  return text
end

-- What was decided and is carried out at the end: puts of registers, at which place each, and all other effects.
local puts, at_put, effects = {}, {}, {}

-- Makes of a put an effect like all others, for a later write to the same key; the record that was put.
local function unput(i)
  local put = puts[at_put[i]]
  local new = parse(i, put.value)
  new.body = string.sub(put.value, new.head_len + 1)
  puts[at_put[i]], at_put[i] = false, nil
  effects[#effects + 1] = {
    i = i, old = put.before ~= '' and parse(i, put.before) or nil, new = new, system = put.system,
    namespace = put.namespace, ended = put.is_expired and EXPIRED or nil,
  }
  return new
end

-- The record at place `i`: false where there is none, nil where it is damaged.
local function load(i)
  if loaded[i] == nil then
    local text = peek(i)
    loaded[i] = at_put[i] and unput(i) or text ~= '' and (parse(i, text) or DAMAGED)
  end
  if loaded[i] == DAMAGED then return nil end
  return loaded[i]
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
  local head = struct.pack(HEAD .. 'I7', FORMAT, r.kind, flags, r.origin, r.class, r.codec, r.seq, r.version, r.ms, r.c,
    r.replica, r.epoch_ms, r.epoch_c, r.epoch_replica, r.expires, r.created, r.keep, r.ttl, r.kind_ms, r.kind_c,
    r.siblings, r.raw_len, r.stored_len, #r.kind_name, #r.rule, #r.writer, r.locator) .. r.kind_name .. r.rule .. r.writer
  r.head = head .. check_of(key_of(i), head)
  r.head_len = #r.head
end

local function reclaim_at(r)
  if r.class == TOMBSTONE then return r.keep end
  if r.class == UNJUDGED_CLASS then return r.ms end
  return r.has_expiry and r.expires or nil
end

---- ledger and clock ---------------------------------------------------------------------------------------------

local ledger = redis.call('HMGET', KEYS[LEDGER], 's', 'ms', 'c', 'e', 'g', 'j')
local seq, ms, c = tonumber(ledger[1] or 0), tonumber(ledger[2] or 0), tonumber(ledger[3] or 0)
-- How long dead entries wait for replicas, and from which `seq` on nothing that was given out can have been lost.
local grace, jump = tonumber(ledger[5] or 0), tonumber(ledger[6] or 0)
local time = ARGV[3] == '' and redis.call('TIME')
-- Each shard has a clock of its own; what the caller saw of another shard's counts here, too.
if tonumber(ARGV[14]) > ms then ms, c = tonumber(ARGV[14]), 0 end
local wall = time and (time[1] * 1000 + math.floor(time[2] / 1000)) or tonumber(ARGV[3])

-- A text that names its epoch is known to the server process of that epoch alone: asking is for those that name none.
local epoch = ARGV[15]
if epoch == '' then
  local about = redis.pcall('INFO', 'replication')
  epoch = type(about) == 'string' and string.match(about, 'master_replid:(%w+)') or ledger[4] or ''
end

local function info() return struct.pack('>I7I6I2I6', seq, ms, c, wall) .. (ARGV[15] == '' and epoch or '') end

-- Another server process, or one that was a replica meanwhile, may have lost the last changes: what is numbered from
-- now on repeats no number given out, and whoever had read further than this reads anew.
if ledger[1] and (ledger[4] or '') ~= epoch then
  seq = seq + EPOCH_STEP
  jump = seq
  redis.call('HSET', KEYS[LEDGER], 's', whole(seq), 'e', epoch, 'f', whole(seq), 'j', whole(seq))
end

---- what was said ------------------------------------------------------------------------------------------------

local FRONT, BATCH = 23, 18

-- The last reply begins with the number of its call and with its first token, which is mostly enough.
local said, last, first = {}, 0, ''
local front = redis.call('GETRANGE', KEYS[LAST], 0, FRONT - 1)
if #front == FRONT then last, first = struct.unpack('>I7c16', front) end
if #front == FRONT and (first == string.sub(ARGV[4], 1, 16) or last >= number or step > 0 or ARGV[16] == '1') then
  said = cmsgpack.unpack(string.sub(redis.call('GET', KEYS[LAST]), FRONT + 1))
end

-- What was answered to the step of a batch; nil where nothing was, and whether anything was to any step.
local function told(token)
  local is_known = false
  for _, call in ipairs(said) do
    local from = 1
    for at = 1, #call[1], BATCH do
      local other, writes = struct.unpack('>c16I2', call[1], at)
      if other == token and call[3][from] then
        is_known = true
        if call[2] == step then return { unpack(call[3], from, math.min(from + writes - 1, #call[3])) }, true end
      end
      from = from + writes
    end
  end
  return nil, is_known
end

if #said > 0 then
  local answers, is_known = {}, false
  for at = 1, #ARGV[4], BATCH do
    local part, known = told(string.sub(ARGV[4], at, at + 15))
    is_known = is_known or known
    if not part then break end
    for _, answer in ipairs(part) do answers[#answers + 1] = answer end
  end
  if #answers > 0 then return { 'ok', info(), answers } end
  if not is_known and last >= number then
    -- Either a call that was overtaken on its way, to which nobody listens any more, or another handle's session.
    return { 'late', whole(last), {} }
  end
end
if upon ~= '' and upon ~= whole(seq) then return { 'moved', info(), {} } end

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

-- Made where one is added to: most calls do without.
local function counting()
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
  return function(w, r, placement)
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
end

local counted

---- decisions ----------------------------------------------------------------------------------------------------

-- Carried out once everything is decided; later writes of the batch see it already.
local function take(w, old, new, effect)
  effect.i, effect.old, effect.new, effect.system, effect.namespace = w.i, old, new, w.system, w.namespace
  effects[#effects + 1] = effect
  loaded[w.i] = new or false
end

local function ended(seen, current, cause)
  if seen then return cause end
  return current and current.alive and EXPIRED or nil
end

-- When what is written now expires, and who decided that; `r` begins a life of its own that does not end.
local function give_life(r, seen, p, adds)
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
  local number = next_seq()
  local r = {
    kind = kind, kind_name = '', alive = alive, ms = ms, c = c, replica = replica, seq = number, version = number,
    locator = current and current.locator or number, created = seen and seen.created or ms,
    kind_ms = current and current.kind_ms or 0, kind_c = current and current.kind_c or 0,
    has_ttl = p.has_ttl, ttl = p.ttl, rule = p.rule, has_writer = w.has_writer, writer = w.writer,
    siblings = alive and 1 or 0, has_body = body ~= nil, body = body or '', codec = body and string.byte(body, 3) or 0,
    raw_len = body and struct.unpack('<I4', body, 9) or 0, stored_len = body and #body or 0, keep = 0, class = p.class,
    epoch_ms = ms, epoch_c = c, epoch_replica = replica, origin = p.origin, has_expiry = false, expires = 0,
    head = '', head_len = 0,
  }
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
  -- So is one that was last added to before something may have been lost: it gets a row of its own.
  if kind == COUNTER and (w.op == '+' or w.op == 'P') and (not current or (seen and seen.seq >= jump)) then
    counted = counted or counting()
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

-- A put of a register that replaces one or nothing and lives as its placement says, which is most of what is written;
-- nil for everything else, which `decide` decides the same.
local function put_register(i, guard, p, namespace, system, has_writer, writer, body)
  if p.kind ~= LWW or p.mode == 3 or loaded[i] ~= nil or at_put[i] then return nil end
  local text = peek(i)
  local created, locator, kind_ms, kind_c, gained, stored, raw, packed = nil, nil, 0, 0, 1, 0, 0, 0
  local due, class, is_expired
  if text ~= '' then
    if #text < HEAD_BYTES + 7 then return nil end
    local format, kind, flags, origin, old_class, codec, _, _, old_ms, _, _, _, _, _, expires, old_created, keep, _,
      old_kind_ms, old_kind_c, _, raw_len, stored_len, kind_len, rule_len, writer_len, old_locator =
      struct.unpack(HEAD .. 'I7', text)
    local check_at = HEAD_BYTES + 8 + kind_len + rule_len + writer_len
    if format ~= FORMAT or kind ~= LWW or origin == UNJUDGED or old_class == UNJUDGED_CLASS or check_at + CHECK_BYTES > PEEK
      or string.sub(text, check_at, check_at + CHECK_BYTES - 1) ~= check_of(key_of(i), string.sub(text, 1, check_at - 1)) then
      return nil
    end
    local is_alive, has_expiry = flags % 2 >= 1, flags % 4 >= 2
    local is_seen = is_alive and (not has_expiry or math.max(wall, ms) < expires)
    if is_seen and guard == 1 then return nil end
    if is_seen then created = old_created end
    is_expired = is_alive and not is_seen
    locator, kind_ms, kind_c, class = old_locator, old_kind_ms, old_kind_c, old_class
    local instant = old_class == TOMBSTONE and keep or has_expiry and expires
    if instant then due = struct.pack('>I6I7', instant, locator) .. key_of(i) end
    if is_alive then
      local rule_at = HEAD_BYTES + 8 + kind_len
      if string.sub(text, rule_at, rule_at + rule_len - 1) ~= p.rule then return nil end
      gained, stored, raw, packed = 0, -stored_len, -raw_len, codec ~= 0 and -1 or 0
    end
  end
  tick()
  next_seq()
  local expires, flags = 0, 17 + (p.has_ttl and 4 or 0) + 8 * has_writer
  if p.mode ~= 0 then
    expires, flags = p.mode == 1 and plus(ms, p.expiry) or p.expiry, flags + 2
  end
  local codec, raw_len = string.byte(body, 3), struct.unpack('<I4', body, 9)
  locator = locator or seq
  local head = struct.pack(HEAD .. 'I7', FORMAT, LWW, flags, p.origin, p.class, codec, seq, seq, ms, c, replica, ms, c,
    replica, expires, created or ms, 0, p.ttl, kind_ms, kind_c, 1, raw_len, #body, 0, #p.rule, #writer, locator)
    .. p.rule .. writer
  local n = #puts + 1
  at_put[i] = n
  puts[n] = {
    i = i, value = head .. check_of(key_of(i), head) .. body, before = text, is_expired = is_expired, system = system == 1,
    namespace = namespace, rule = p.rule, seq = seq, entries = gained, stored = stored + #body, raw = raw + raw_len,
    packed = packed + (codec ~= 0 and 1 or 0), was = due, was_class = class, class = p.class,
    expires = p.mode ~= 0 and expires or nil,
    is = p.mode ~= 0 and struct.pack('>I6I7', expires, locator) .. key_of(i) or nil,
  }
  return struct.pack('>c1I7I6I2c8BI6I4', 'A', seq, ms, c, replica, p.mode ~= 0 and 1 or 0, expires, 0) .. '\0'
end

---- the batch ----------------------------------------------------------------------------------------------------

local placements, at = {}, 18
for n = 1, tonumber(ARGV[17]) do
  local p, has_ttl, from = {}, nil, nil
  p.kind, p.class, p.origin, p.mode, p.expiry, has_ttl, p.ttl, p.threshold, from =
    struct.unpack('>BBBBI6BI6I4', ARGV[at])
  p.has_ttl, p.rule = has_ttl == 1, string.sub(ARGV[at], from)
  placements[n], at = p, at + 1
end

local answers = {}
while at <= #ARGV do
  local i, op, guard, version, reply, place, system, namespace_len, has_writer, touched, mode, has_amount, sign, amount,
    cause, ended_code = struct.unpack('>I2c1BI7BI2BI2BBBBBI7BB', ARGV[at])
  local namespace = string.sub(key_of(i), 1, namespace_len)
  local answer
  if (op == 'P' or op == 'A') and guard <= 1 and reply == 0 then
    answer = put_register(i, guard, placements[place], namespace, system, has_writer, ARGV[at + 1], ARGV[at + 2])
  end
  if not answer then
    local w = {
      i = i, op = op, guard = guard, version = version, reply = reply, namespace = namespace, system = system == 1,
      has_writer = has_writer == 1, touch = touched, mode = mode, has_amount = has_amount == 1, sign = sign,
      amount = amount, cause = cause, ended = ended_code < 255 and ended_code or nil, writer = ARGV[at + 1],
      answer = ARGV[at + 1], body = ARGV[at + 2],
    }
    if upon == '' then answer = decide(w, placements[place]) else answer = carry_out(w) end
  end
  at = at + 3
  answers[#answers + 1] = answer or 'N'
  if not answer then break end
end
if upon ~= '' and #effects > 0 then
  local clock = struct.unpack('>I6', ARGV[13])
  ms, c = clock, struct.unpack('>I2', ARGV[13], 7)
end

---- carrying out -------------------------------------------------------------------------------------------------

-- One list of arguments for each command that takes many; what several writes did to one key is done once.
local places, firsts, lasts = {}, {}, {}
for _, effect in ipairs(effects) do
  if not lasts[effect.i] then
    places[#places + 1], firsts[effect.i] = effect.i, effect
  end
  lasts[effect.i] = effect
end

local groups, sums = {}, {}

local function add(rule, namespace, entries, stored, raw, packed)
  local group = rule .. '\0' .. namespace
  local sum = sums[group]
  if sum then
    sum[1], sum[2], sum[3], sum[4] = sum[1] + entries, sum[2] + stored, sum[3] + raw, sum[4] + packed
  else
    sums[group], groups[#groups + 1] = { entries, stored, raw, packed }, group
  end
end

local function count(effect, r, by)
  if not r or not r.alive or effect.system then return end
  add(r.rule, effect.namespace, by, by * r.stored_len, by * r.raw_len, r.codec ~= 0 and by or 0)
end

for _, put in ipairs(puts) do
  if put and not put.system then add(put.rule, put.namespace, put.entries, put.stored, put.raw, put.packed) end
end

for _, i in ipairs(places) do
  count(firsts[i], firsts[i].old, -1)
  count(lasts[i], lasts[i].new, 1)
end
local asked = { 'HMGET', KEYS[USAGE] }
for _, group in ipairs(groups) do
  local sum = sums[group]
  if sum[1] ~= 0 or sum[2] ~= 0 or sum[3] ~= 0 or sum[4] ~= 0 then asked[#asked + 1] = group end
end
local more, less = { 'HSET', KEYS[USAGE] }, { 'HDEL', KEYS[USAGE] }
if #asked > 2 then
  -- All that may fail on damaged data comes before the first change.
  for n, tally in ipairs(redis.call(unpack(asked))) do
    local group = asked[n + 2]
    local sum = sums[group]
    local entries, stored, raw, packed = 0, 0, 0, 0
    if tally then entries, stored, raw, packed = struct.unpack('>I6I7I7I6', tally) end
    entries, stored = math.max(entries + sum[1], 0), math.max(stored + sum[2], 0)
    raw, packed = math.max(raw + sum[3], 0), math.max(packed + sum[4], 0)
    if entries == 0 then
      less[#less + 1] = group
    else
      more[#more + 1], more[#more + 2] = group, struct.pack('>I6I7I7I6', entries, stored, raw, packed)
    end
  end
end

local function due_member(i, r)
  local instant = r and reclaim_at(r)
  return instant and struct.pack('>I6I7', instant, r.locator) .. key_of(i)
end

local commands = {}

-- Adds arguments to the command `name` on the key at `place`, which is carried out once.
local function also(name, place, first, second)
  local key = name .. place
  local command = commands[key]
  if not command then
    command = { name, KEYS[place] }
    commands[key], commands[#commands + 1] = command, command
  end
  command[#command + 1] = first
  if second then command[#command + 1] = second end
end

local function move_due(was, was_class, is, class)
  if was == is and was_class == class then return end
  if was then also('ZREM', DUE + was_class, was) end
  if is then also('ZADD', DUE + class, 0, is) end
end

local function reindex(i)
  local first, last = firsts[i], lasts[i]
  local old, new = first.old, last.new
  local key = key_of(i)
  move_due(due_member(i, old), old and old.class, due_member(i, new), new and new.class)
  if new and not old then also('ZADD', ORDERED, 0, key) end
  if old and not new then also('ZREM', ORDERED, key) end
  if last.system then return end
  if new then also('ZADD', CHANGES, whole(new.seq), key) end
  if old and not new then also('ZREM', CHANGES, key) end
end

local function set(i, value, class, instant)
  local name = KEYS[RECORDS + i]
  if not instant or class == MANUAL or class == UNJUDGED_CLASS then return redis.call('SET', name, value) end
  -- Long after a sweep should have come: a safety net for a store that nobody sweeps.
  redis.call('SET', name, value, 'PX', whole(math.max(instant - wall, 0) + tonumber(ARGV[11])))
end

local function store(i)
  local r = lasts[i].new
  if not r then return redis.call('DEL', KEYS[RECORDS + i]) end
  set(i, r.head .. body_of(i, r), r.class, reclaim_at(r))
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

if #effects + #puts > 0 then
  redis.call('HSET', KEYS[LEDGER], 's', whole(seq), 'ms', whole(ms), 'c', whole(c), 'e', epoch)
  for _, effect in ipairs(effects) do
    if not effect.new and effect.old and not effect.system then
      local member = struct.pack('>BI6I7', effect.cause, math.max(wall, ms), effect.seq) .. key_of(effect.i)
      also('ZADD', REMOVALS, whole(effect.seq), member)
    end
    if effect.ended and not effect.system then redis.call('HINCRBY', KEYS[LEDGER], 'r' .. effect.ended, 1) end
  end
  local removes = #commands > 0
  for _, i in ipairs(places) do
    store(i)
    reindex(i)
  end
  for _, put in ipairs(puts) do
    if put then
      set(put.i, put.value, put.class, put.expires)
      move_due(put.was, put.was_class, put.is, put.class)
      if put.before == '' then also('ZADD', ORDERED, 0, key_of(put.i)) end
      if not put.system then
        also('ZADD', CHANGES, whole(put.seq), key_of(put.i))
        if put.is_expired then redis.call('HINCRBY', KEYS[LEDGER], 'r' .. EXPIRED, 1) end
      end
    end
  end
  for _, command in ipairs(commands) do redis.call(unpack(command)) end
  if #more > 2 then redis.call(unpack(more)) end
  if #less > 2 then redis.call(unpack(less)) end
  if removes then forget() end
  -- Waking is a courtesy: whoever may not publish still writes.
  if ARGV[12] ~= '' then redis.pcall('PUBLISH', ARGV[12], '') end
end

if step == 0 and ARGV[16] ~= '1' then said = {} end
said[#said + 1] = { ARGV[4], step, answers }
local said_first = string.sub(said[1][1], 1, 16)
redis.call('SET', KEYS[LAST], struct.pack('>I7c16', number, said_first) .. cmsgpack.pack(said), 'PX', ARGV[7])
-- Whoever decided in Rust has the answers.
if upon ~= '' then return { 'done', info(), {} } end
return { 'ok', info(), answers }
