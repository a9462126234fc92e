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
-- Most of what is written are puts of registers: `put_over` makes no table of a record. Calls that hold nothing else
-- go a way of their own, `put_all`; for the others there is `decide_each`, and in it `general`. What a call does not
-- need is not made: a table or a closure costs as much as a command.
--
-- KEYS  1 ledger, 2 keys in order, 3 changes, 4 removals, 5 usage, 6 last reply, 7-11 due index by class, 12.. records
-- ARGV  1 numbers, by `NUMBERS`: replica, whether these are effects and upon which `seq` they were decided, wall clock
--         in ms or 0 for the server's, step, number of the call in its lane, ms to keep the reply, bytes before the key
--         in a record's name, removals to keep, ms to keep removals and tombstones, clock after the effects, the latest
--         clock that the caller saw of any shard, whether to keep what was said to other batches, placements,
--         1 where `put_all` may decide, 2 where `carry_all` may carry out, else 0
--       2 batches, each its token and how many of the writes are its own
--       3 channel to wake or '', 4 epoch that this text is bound to or ''
--       5 the answers to what was decided, as they are kept, or '', 6 what rules and namespaces have more, by `TALLY`
--       7 placements, then two for each write: its numbers, by `WRITE`, of a put of a register by the rest of `PUT`,
--         by `GENERAL`, then rule, writer and body; of an effect its numbers, by `FILING`, too, then its record

local LEDGER, ORDERED, CHANGES, REMOVALS, USAGE, LAST, DUE, RECORDS = 1, 2, 3, 4, 5, 6, 7, 11
local ANSWERS, TALLIES, PLACEMENTS = 5, 6, 7
local NUMBERS = '>c8BI7I6I4I7I6I2I4I6I6I2I6BI2B'
-- What every write has. What a put of a register has, from its guard on: the front of its record and what else is
-- known of it stand behind. What only `general` asks for, and where it stands, of a put and of all else.
local WRITE, PUT, GENERAL, GENERAL_OF_PUT, GENERAL_AT = '>I2c1BBI2BI2', '>BBI2BI2c34I6BI4I4', '>I7BBBBBI7BBI4I4', 60, 11
local PUT_AT = 4
-- What of the indexes and the usage changes with the record of an effect.
local FILING, FILING_AT, TALLY = '>I7I7BBBBI6B', 40, '>i7i7i7i7I2I2'
-- A record begins with what whoever puts it knows, then what is decided, then the sum of all these numbers.
local HEAD_BYTES, PEEK, PEEKED, SMALL = 119, 256, '255', 1024
local HEAD = '>BBBBBBI6I4I4I4I2I2I2I4I7I7I6I2I4I4I6I2I4I4I6I6I6I6I2I7I6'
local FORMAT, MAX_MS, EPOCH_STEP, PRIME = 1, 281474976710655, 4294967296, 4294967291
local LWW, TOMBSTONE, UNJUDGED_CLASS, UNJUDGED = 0, 3, 4, 2
local EXPIRED, NONE, ANSWER = 0, 255, '>c1I7I6I2c8BI6I4B'
-- The answer to puts that follow each other: their number, the `seq` and the clock of the first; each of the others has
-- one more of both.
local RUN = '>c1I2I7I6I2'

local KEYS, ARGV = KEYS, ARGV
local call, pack, fields, sub, printed = redis.call, struct.pack, struct.unpack, string.sub, string.format
local replica, is_upon, upon, wall, step, number, keep_reply_ms, name_bytes, keep_removals, keep_ms, ms_after, c_after,
  seen_ms, is_repeated, placement_count, way = fields(NUMBERS, ARGV[1])
local tokens, channel, epoch = ARGV[2], ARGV[3], ARGV[4]
local is_bound = epoch ~= ''

-- The digits of a whole number; most that follow each other are the same.
local last_number, last_digits
local function whole(n)
  if n ~= last_number then
    last_number, last_digits = n, printed('%d', n)
  end
  return last_digits
end

---- ledger and clock ---------------------------------------------------------------------------------------------

local ledger = call('HMGET', KEYS[LEDGER], 's', 'ms', 'c', 'e', 'g', 'j')
local seq, ms, c = tonumber(ledger[1] or 0), tonumber(ledger[2] or 0), tonumber(ledger[3] or 0)
-- How long dead entries wait for replicas, and from which `seq` on nothing that was given out can have been lost.
local grace, jump = tonumber(ledger[5] or 0), tonumber(ledger[6] or 0)
-- Each shard has a clock of its own; what the caller saw of another shard's counts here, too.
if seen_ms > ms then ms, c = seen_ms, 0 end
if wall == 0 then
  local time = call('TIME')
  wall = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A text that names its epoch is known to the server process of that epoch alone: asking is for those that name none.
if not is_bound then
  local about = redis.pcall('INFO', 'replication')
  epoch = type(about) == 'string' and string.match(about, 'master_replid:(%w+)') or ledger[4] or ''
end

local function info() return pack('>I7I6I2I6', seq, ms, c, wall) .. (is_bound and '' or epoch) end

-- Another server process, or one that was a replica meanwhile, may have lost the last changes: what is numbered from
-- now on repeats no number given out, and whoever had read further than this reads anew.
if ledger[1] and (ledger[4] or '') ~= epoch then
  seq = seq + EPOCH_STEP
  jump = seq
  call('HSET', KEYS[LEDGER], 's', whole(seq), 'e', epoch, 'f', whole(seq), 'j', whole(seq))
end

---- what was said ------------------------------------------------------------------------------------------------

-- The last reply begins with the number of its call and with its first token, which is mostly enough.
local FRONT_OF_REPLY = 23
local said, last, first = {}, 0, ''
local front_of_reply = call('GETRANGE', KEYS[LAST], '0', FRONT_OF_REPLY - 1)
if #front_of_reply == FRONT_OF_REPLY then
  last, first = fields('>I7c16', front_of_reply)
  if first == sub(tokens, 1, 16) or last >= number or step > 0 or is_repeated == 1 then
    said = cmsgpack.unpack(sub(call('GET', KEYS[LAST]), FRONT_OF_REPLY + 1))
  end
end

-- What was answered before to these batches, or that they came too late; nil where nothing was.
local function said_before()
  local BATCH = 18

  -- What was answered to the step of a batch; nil where nothing was, and whether anything was to any step.
  local function told(token)
    local is_known = false
    for _, reply in ipairs(said) do
      local from, all = 1, reply[3]
      for at = 1, #reply[1], BATCH do
        local other, writes = fields('>c16I2', reply[1], at)
        if other == token and (type(all) == 'string' or all[from]) then
          is_known = true
          if reply[2] == step then
            if type(all) == 'table' then return { unpack(all, from, math.min(from + writes - 1, #all)) }, true end
            local word, _, first_seq, first_ms, first_c = fields(RUN, all)
            return { pack(RUN, word, writes, first_seq + from - 1, first_ms, first_c + from - 1) }, true
          end
        end
        from = from + writes
      end
    end
    return nil, is_known
  end

  local answers, is_known = {}, false
  for at = 1, #tokens, BATCH do
    local part, known = told(sub(tokens, at, at + 15))
    is_known = is_known or known
    if not part then break end
    for _, answer in ipairs(part) do answers[#answers + 1] = answer end
  end
  if #answers > 0 then
    -- A write, so that whoever waits for replicas waits for what it repeats.
    call('PEXPIRE', KEYS[LAST], whole(keep_reply_ms))
    return { 'ok', info(), answers }
  end
  if not is_known and last >= number then
    -- Either a call that was overtaken on its way, to which nobody listens any more, or another handle's session.
    return { 'late', whole(last), {} }
  end
end

if #said > 0 then
  local before = said_before()
  if before then return before end
end
if is_upon == 1 and upon ~= seq then return { 'moved', info(), {} } end

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

---- records ----------------------------------------------------------------------------------------------------------

-- The check of a head: each of its numbers, those of more than 32 bits below a prime, times an odd weight of its own.
local function sum_of(format, kind, flags, origin, class, codec, ttl, siblings, raw_len, stored_len, kind_len, rule_len,
    writer_len, names_sum, version_seq, version, stamp_ms, stamp_c, high, low, epoch_ms, epoch_c, epoch_high, epoch_low,
    expires, created, keep, kind_ms, kind_c, locator)
  return format * 3 + kind * 5 + flags * 7 + origin * 9 + class * 11 + codec * 13 + ttl % PRIME * 15
    + siblings * 17 + raw_len * 19 + stored_len * 21 + kind_len * 23 + rule_len * 25
    + writer_len * 27 + names_sum * 29 + version_seq % PRIME * 31 + version % PRIME * 33
    + stamp_ms % PRIME * 35 + stamp_c * 37
    + high * 39 + low * 41 + epoch_ms % PRIME * 43 + epoch_c * 45 + epoch_high * 47
    + epoch_low * 49 + expires % PRIME * 51 + created % PRIME * 53 + keep % PRIME * 55 + kind_ms % PRIME * 57
    + kind_c * 59 + locator % PRIME * 61
end

---- usage and indexes ------------------------------------------------------------------------------------------------

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

-- What is carried out at the end, each a command and `n`, how long it is: one for each that takes many arguments.
local commands = {}
local kept, gone = { 'MSET', n = 1 }, { 'DEL', n = 1 }
local adds, removes = {}, {}

local function also(of, name, index)
  local command = { name, KEYS[index], n = 2 }
  of[index], commands[#commands + 1] = command, command
  return command
end

local function set(i, value)
  local n = kept.n
  kept[n + 1], kept[n + 2], kept.n = KEYS[RECORDS + i], value, n + 2
end

local function place(index, score, member)
  local command = adds[index] or also(adds, 'ZADD', index)
  local n = command.n
  command[n + 1], command[n + 2], command.n = score, member, n + 2
end

local function displace(index, member)
  local command = removes[index] or also(removes, 'ZREM', index)
  local n = command.n + 1
  command[n], command.n = member, n
end

-- Files an entry under `instant` of `class`, or under none, where it was in `was_class`, or in none.
local function file(key, locator, was_class, instant, class)
  if not instant and not was_class then return end
  local member = pack('>I7c0', locator, key)
  if was_class and (not instant or was_class ~= class) then displace(DUE + was_class, member) end
  if instant then place(DUE + class, whole(instant), member) end
end

---- placements -------------------------------------------------------------------------------------------------------

local placements = {}
for n = 1, placement_count do
  local text, has_ttl, from = ARGV[PLACEMENTS - 1 + n], nil, nil
  local p = {}
  p.kind, p.class, p.origin, p.mode, p.expiry, has_ttl, p.ttl, p.threshold, from = fields('>BBBBI6BI6I4', text)
  p.has_ttl, p.rule = has_ttl == 1, sub(text, from)
  placements[n] = p
end

---- puts of registers ------------------------------------------------------------------------------------------------

local HEAD_OF_PUT = '>I7I7I6I2c8I6I2c8I6I6I6I6I2I7I6'
local own_sum
do
  local high, low = fields('>I4I4', replica)
  own_sum = high * 86 + low * 90
end

-- A put of a register that replaces one or nothing and lives as its placement says, which is most of what is written;
-- `text` is how what is there begins. Nil for everything else, which `decide` decides the same. Gives the record, its
-- locator, when its bytes may go, in which class it was, and what ended with it.
local function put_over(text, key, guard, p, system, namespace_len, front, front_sum, is_packed, raw_len, stored_len,
    tail)
  if p.mode == 3 then return nil end
  local created, locator, kind_ms, kind_c, was_class, is_expired = nil, nil, 0, 0, nil, nil
  local gained, stored, raw, packed = 1, stored_len, raw_len, is_packed
  if text ~= '' then
    if #text < HEAD_BYTES then return nil end
    local format, kind, flags, origin, class, codec, ttl, siblings, old_raw_len, old_stored_len, kind_len, rule_len,
      writer_len, names_sum, version_seq, version, stamp_ms, stamp_c, high, low, epoch_ms, epoch_c, epoch_high,
      epoch_low, old_expires, old_created, keep, old_kind_ms, old_kind_c, old_locator, sum = fields(HEAD, text)
    if format ~= FORMAT or kind ~= LWW or origin == UNJUDGED or class == UNJUDGED_CLASS
      or sum ~= sum_of(format, kind, flags, origin, class, codec, ttl, siblings, old_raw_len, old_stored_len, kind_len,
        rule_len, writer_len, names_sum, version_seq, version, stamp_ms, stamp_c, high, low, epoch_ms, epoch_c,
        epoch_high, epoch_low, old_expires, old_created, keep, old_kind_ms, old_kind_c, old_locator) then
      return nil
    end
    local is_alive, has_expiry = flags % 2 >= 1, flags % 4 >= 2
    local is_seen = is_alive and (not has_expiry or math.max(wall, ms) < old_expires)
    if is_seen and guard == 1 then return nil end
    if is_seen then created = old_created end
    is_expired = is_alive and not is_seen
    locator, kind_ms, kind_c = old_locator, old_kind_ms, old_kind_c
    if class == TOMBSTONE or has_expiry then was_class = class end
    if is_alive and system == 0 then
      local rule_at, was_packed = HEAD_BYTES + 1 + kind_len, codec ~= 0 and 1 or 0
      local rule = sub(text, rule_at, rule_at + rule_len - 1)
      if #rule < rule_len then return nil end
      if rule == p.rule then
        gained, stored, raw, packed = 0, stored - old_stored_len, raw - old_raw_len, packed - was_packed
      else
        add(rule, sub(key, 1, namespace_len), -1, -old_stored_len, -old_raw_len, -was_packed)
      end
    end
  end
  tick()
  next_seq()
  local expires = p.mode == 0 and 0 or p.mode == 1 and plus(ms, p.expiry) or p.expiry
  created, locator = created or ms, locator or seq
  local sum = front_sum + own_sum + seq % PRIME * 64 + ms % PRIME * 78 + c * 82 + expires % PRIME * 51
    + created % PRIME * 53 + kind_ms % PRIME * 57 + kind_c * 59 + locator % PRIME * 61
  if system == 0 and (gained ~= 0 or stored ~= 0 or raw ~= 0 or packed ~= 0) then
    add(p.rule, sub(key, 1, namespace_len), gained, stored, raw, packed)
  end
  local value = front .. pack(HEAD_OF_PUT, seq, seq, ms, c, replica, ms, c, replica, expires, created, 0, kind_ms,
    kind_c, locator, sum) .. tail
  return value, locator, p.mode ~= 0 and expires or nil, was_class, is_expired and EXPIRED or nil
end

-- All that follows from a put whose record is `value`.
local function store_put(i, key, value, system, number, is_new, locator, instant, was_class, class, ended)
  set(i, value)
  file(key, locator, was_class, instant, class)
  if is_new then place(ORDERED, '0', key) end
  if system == 0 then
    place(CHANGES, printed('%d', number), key)
    if ended then commands[#commands + 1] = { 'HINCRBY', KEYS[LEDGER], 'r' .. ended, '1', n = 4 } end
  end
end

-- How the records at the first `count` places begin, whose writes stand from `at` on. Small ones are read whole, all at
-- once; what is replaced is mostly as large as what is put.
local function beginnings(count, at)
  local bytes = 0
  for i = at + 1, #ARGV, 2 do bytes = bytes + #ARGV[i] end
  if bytes <= SMALL * count then return call('MGET', unpack(KEYS, RECORDS + 1)) end
  local texts = {}
  for i = 1, count do texts[i] = call('GETRANGE', KEYS[RECORDS + i], '0', PEEKED) end
  return texts
end

-- Decides a call of nothing but puts, each of a record of its own, and gives back the answer to all; nil where one of
-- them is more than that, as if nothing had been decided.
local function put_all()
  local seq_before, ms_before, c_before, at = seq, ms, c, PLACEMENTS + placement_count
  local count, first_ms, first_c = (#ARGV + 1 - at) / 2, nil, nil
  local texts = beginnings(count, at)
  for i = 1, count do
    local guard, _, place_of, system, namespace_len, front, front_sum, is_packed, raw_len, stored_len =
      fields(PUT, ARGV[at], PUT_AT)
    local p, key, text = placements[place_of], sub(KEYS[RECORDS + i], name_bytes + 1), texts[i] or ''
    local value, locator, instant, was_class, ended = put_over(text, key, guard, p, system, namespace_len, front,
      front_sum, is_packed, raw_len, stored_len, ARGV[at + 1])
    if i == 1 then first_ms, first_c = ms, c end
    if not value or ms ~= first_ms then
      seq, ms, c = seq_before, ms_before, c_before
      groups, sums, commands, kept, adds, removes = {}, {}, {}, { 'MSET', n = 1 }, {}, {}
      return nil
    end
    store_put(i, key, value, system, seq, text == '', locator, instant, was_class, p.class, ended)
    at = at + 2
  end
  return pack(RUN, 'P', count, seq_before + 1, first_ms, first_c)
end

---- records that Rust has decided ------------------------------------------------------------------------------------

-- Carries out a call of nothing but records to put, each of a key of its own. Gives back all answers, and whether
-- anything changes.
local function carry_all()
  local is_changed, tallies, from = false, ARGV[TALLIES], 1
  while from <= #tallies do
    local entries, stored, raw, packed, rule_len, namespace_len, rule_at = fields(TALLY, tallies, from)
    local namespace_at = rule_at + rule_len
    from = namespace_at + namespace_len
    add(sub(tallies, rule_at, namespace_at - 1), sub(tallies, namespace_at, from - 1), entries, stored, raw, packed)
  end
  for at = PLACEMENTS + placement_count, #ARGV, 2 do
    local argument = ARGV[at]
    local i, op, _, _, _, system = fields(WRITE, argument)
    if op == 'p' then
      local number, locator, is_new, was_class, class, has_instant, instant, ended = fields(FILING, argument, FILING_AT)
      store_put(i, sub(KEYS[RECORDS + i], name_bytes + 1), ARGV[at + 1], system, number, is_new == 1, locator,
        has_instant == 1 and instant or nil, was_class < NONE and was_class or nil, class,
        ended < NONE and ended or nil)
      seq, is_changed = number, true
    end
  end
  if is_changed then ms, c = ms_after, c_after end
  return { ARGV[ANSWERS] }, is_changed
end

---- everything else --------------------------------------------------------------------------------------------------

-- Decides one write after the other, up to the first that is left to Rust. Gives back the answers and, where anything
-- changes, what stores it, which gives back what is to be done last.
local function decide_each()
  -- What was decided and is carried out at the end: puts of registers, at which place each, and all other effects.
  local effects, puts, at_put = {}, {}, {}
  local loaded, texts, names = {}, {}, {}

  local function key_of(i)
    local key = names[i]
    if not key then
      key = sub(KEYS[RECORDS + i], name_bytes + 1)
      names[i] = key
    end
    return key
  end

  -- How the record at place `i` begins.
  local function peek(i)
    local text = texts[i]
    if not text then
      text = call('GETRANGE', KEYS[RECORDS + i], '0', PEEKED)
      texts[i] = text
    end
    return text
  end

  -- The answer to a put that `put_over` decides, which is carried out at the end.
  local function put_register(i, p, argument, tail)
    if loaded[i] ~= nil or at_put[i] then return nil end
    local text, key = peek(i), key_of(i)
    local guard, _, _, system, namespace_len, front, front_sum, is_packed, raw_len, stored_len =
      fields(PUT, argument, PUT_AT)
    local value, locator, instant, was_class, ended = put_over(text, key, guard, p, system, namespace_len, front,
      front_sum, is_packed, raw_len, stored_len, tail)
    if not value then return nil end
    local n = #puts + 1
    at_put[i] = n
    puts[n] = {
      i = i, value = value, before = text, ended = ended, system = system, namespace_len = namespace_len,
      seq = seq, was_class = was_class, class = p.class, instant = instant, locator = locator,
    }
    return pack(ANSWER, 'A', seq, ms, c, replica, instant and 1 or 0, instant or 0, 0, 0)
  end

  -- Gives back how to decide a write, how to carry out what Rust has decided, and how to store all effects.
  local function general()
    local COUNTER, BY_RULE, BY_CALLER, DELETED, DAMAGED = 2, 0, 1, 1, 0

    ---- records ----

    -- The record that `text` begins with, or nil when its head is damaged. Tables are made whole, which costs least.
    local function parse(i, text)
      if #text < HEAD_BYTES then return nil end
      local format, kind, flags, origin, class, codec, ttl, siblings, raw_len, stored_len, kind_len, rule_len,
        writer_len, names_sum, version_seq, version, stamp_ms, stamp_c, high, low, epoch_ms, epoch_c, epoch_high,
        epoch_low, expires, created, keep, kind_ms, kind_c, locator, sum = fields(HEAD, text)
      local rule_at = HEAD_BYTES + 1 + kind_len
      local head_len = HEAD_BYTES + kind_len + rule_len + writer_len
      if format ~= FORMAT or sum ~= sum_of(format, kind, flags, origin, class, codec, ttl, siblings, raw_len,
          stored_len, kind_len, rule_len, writer_len, names_sum, version_seq, version, stamp_ms, stamp_c, high, low,
          epoch_ms, epoch_c, epoch_high, epoch_low, expires, created, keep, kind_ms, kind_c, locator) then
        return nil
      end
      if #text == PEEK and head_len > PEEK then text = call('GETRANGE', KEYS[RECORDS + i], 0, head_len - 1) end
      if #text < head_len then return nil end
      return {
        kind = kind, origin = origin, class = class, codec = codec, seq = version_seq, version = version, ms = stamp_ms,
        c = stamp_c, replica = pack('>I4I4', high, low), epoch_ms = epoch_ms, epoch_c = epoch_c,
        epoch_replica = pack('>I4I4', epoch_high, epoch_low), expires = expires, created = created, keep = keep,
        ttl = ttl, kind_ms = kind_ms, kind_c = kind_c, siblings = siblings, raw_len = raw_len, stored_len = stored_len,
        locator = locator, head_len = head_len, names_sum = names_sum,
        kind_name = sub(text, HEAD_BYTES + 1, rule_at - 1),
        rule = sub(text, rule_at, rule_at + rule_len - 1), writer = sub(text, rule_at + rule_len, head_len),
        alive = flags % 2 >= 1, has_expiry = flags % 4 >= 2, has_ttl = flags % 8 >= 4, has_writer = flags % 16 >= 8,
        has_body = flags % 32 >= 16, head = sub(text, 1, head_len),
        body = #text < PEEK and sub(text, head_len + 1) or nil,
      }
    end

    -- Counts a record `by` times, 1 or -1, for its rule and namespace.
    local function count(r, by, namespace, system)
      if not r or not r.alive or system then return end
      add(r.rule, namespace, by, by * r.stored_len, by * r.raw_len, r.codec ~= 0 and by or 0)
    end

    -- Makes of a put an effect like all others, for a later write to the same key; the record that was put.
    local function unput(i)
      local put = puts[at_put[i]]
      local old, new = put.before ~= '' and parse(i, put.before) or nil, parse(i, put.value)
      new.body = sub(put.value, new.head_len + 1)
      puts[at_put[i]], at_put[i] = false, nil
      local effect = {
        i = i, old = old, new = new, system = put.system == 1, namespace = sub(key_of(i), 1, put.namespace_len),
        ended = put.ended,
      }
      -- Effects are counted at the end.
      count(old, 1, effect.namespace, effect.system)
      count(new, -1, effect.namespace, effect.system)
      effects[#effects + 1] = effect
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
      if not r.body then r.body = call('GETRANGE', KEYS[RECORDS + i], r.head_len, -1) end
      return r.body
    end

    local function copy(r)
      local other = {}
      for name, value in pairs(r) do other[name] = value end
      return other
    end

    -- Writes the head of `r` anew.
    local function seal(r)
      local flags = (r.alive and 1 or 0) + (r.has_expiry and 2 or 0) + (r.has_ttl and 4 or 0)
        + (r.has_writer and 8 or 0) + (r.has_body and 16 or 0)
      local high, low = fields('>I4I4', r.replica)
      local epoch_high, epoch_low = fields('>I4I4', r.epoch_replica)
      local sum = sum_of(FORMAT, r.kind, flags, r.origin, r.class, r.codec, r.ttl, r.siblings, r.raw_len, r.stored_len,
        #r.kind_name, #r.rule, #r.writer, r.names_sum, r.seq, r.version, r.ms, r.c, high, low, r.epoch_ms, r.epoch_c,
        epoch_high, epoch_low, r.expires, r.created, r.keep, r.kind_ms, r.kind_c, r.locator)
      r.head = pack(HEAD, FORMAT, r.kind, flags, r.origin, r.class, r.codec, r.ttl, r.siblings, r.raw_len, r.stored_len,
        #r.kind_name, #r.rule, #r.writer, r.names_sum, r.seq, r.version, r.ms, r.c, high, low, r.epoch_ms, r.epoch_c,
        epoch_high, epoch_low, r.expires, r.created, r.keep, r.kind_ms, r.kind_c, r.locator, sum)
        .. r.kind_name .. r.rule .. r.writer
      r.head_len = #r.head
    end

    local function reclaim_at(r)
      if r.class == TOMBSTONE then return r.keep end
      if r.class == UNJUDGED_CLASS then return r.ms end
      return r.has_expiry and r.expires or nil
    end

    ---- answers ----

    local function shown(i, r, reply)
      if reply == 0 or not r then return '\0' end
      if reply == 1 then return '\1' .. r.head end
      return '\1' .. r.head .. body_of(i, r)
    end

    local function applied(i, r, reply)
      return pack('>c1I7I6I2c8BI6I4', 'A', r.version, r.ms, r.c, r.replica, r.has_expiry and 1 or 0, r.expires, 0)
        .. shown(i, r, reply)
    end

    ---- counters ----

    -- Made where one is added to: most calls do without.
    local function counting()
      -- The CRC-32 of a body, by half bytes: a table of 16 is made faster than it is missed.
      local function crc32(text)
        local xor, band, shift = bit.bxor, bit.band, bit.rshift
        local steps = {
          [0] = 0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
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
        local n = fields('<I' .. size, text, at + 1)
        if n >= 9007199254740992 then return nil end
        return n, at + 1 + size
      end

      local function varint_of(n)
        if n <= 250 then return string.char(n) end
        if n < 65536 then return '\251' .. pack('<I2', n) end
        if n < 4294967296 then return '\252' .. pack('<I4', n) end
        return '\253' .. pack('<I8', n)
      end

      -- The state after `amount` was added to this store's row, which must be its only one; nil where Rust has to.
      local function added(payload, sign, amount, generation)
        local row = { generation, 0, 0, 0, 0, 0, 0 }
        if payload then
          if sub(payload, 1, 2) ~= '\255\1' or sub(payload, 3, 10) ~= replica then return nil end
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
        local front = '\1\2\0\0\0\0\0\0' .. pack('<I4', #payload)
        return front .. pack('<I4', crc32(front .. payload) % EPOCH_STEP) .. payload
      end

      -- The body of the counter `r`, or of a new one, after an addition.
      return function(w, r, placement)
        if not w.has_amount then return nil end
        local payload
        if r then
          local body = body_of(w.i, r)
          if #body < 16 or string.byte(body, 2) ~= 2 or string.byte(body, 3) ~= 0 then return nil end
          -- A damaged state is told by whoever decodes it, not added to.
          if crc32(sub(body, 1, 12) .. sub(body, 17)) % EPOCH_STEP ~= fields('<I4', body, 13) then
            return nil
          end
          payload = sub(body, 17)
        end
        payload = added(payload, w.sign, w.amount, seq + 1)
        if not payload or (placement.threshold > 0 and #payload >= placement.threshold) then return nil end
        return framed(payload)
      end
    end

    local counted

    ---- decisions ----

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
          r.epoch_ms, r.epoch_c, r.epoch_replica, r.origin = seen.epoch_ms, seen.epoch_c,
            seen.epoch_replica, seen.origin
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
        names_sum = w.names_sum,
        siblings = alive and 1 or 0, has_body = body ~= nil, body = body or '',
        codec = body and string.byte(body, 3) or 0,
        raw_len = body and fields('<I4', body, 9) or 0, stored_len = body and #body or 0, keep = 0, class = p.class,
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
      seal(r)
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
      seal(r)
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
      if current == nil then return nil end
      if current and (current.origin == UNJUDGED or current.class == UNJUDGED_CLASS) then return nil end
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
        r.body = sub(w.body, r.head_len + 1)
        if old then r.locator = old.locator else r.locator = r.seq end
        seal(r)
        seq = r.seq
        take(w, old or nil, r, { ended = w.ended })
      elseif w.op == 'e' then
        seq = w.amount
        take(w, old or nil, nil, { ended = w.ended, cause = w.cause, seq = seq })
      end
    end

    ---- storing ----

    local places, firsts, lasts = {}, {}, {}

    -- What several effects did to one key is done once.
    local function gather()
      for _, effect in ipairs(effects) do
        if not lasts[effect.i] then
          places[#places + 1], firsts[effect.i] = effect.i, effect
        end
        lasts[effect.i] = effect
      end
      for _, i in ipairs(places) do
        local first, last = firsts[i], lasts[i]
        count(first.old, -1, first.namespace, first.system)
        count(last.new, 1, last.namespace, last.system)
      end
    end

    local function store(i)
      local old, new, system = firsts[i].old, lasts[i].new, lasts[i].system
      local key = key_of(i)
      if new then
        set(i, new.head .. body_of(i, new))
      else
        gone.n = gone.n + 1
        gone[gone.n] = KEYS[RECORDS + i]
      end
      local was_class = old and reclaim_at(old) and old.class
      if old and new and old.locator ~= new.locator then
        file(key, old.locator, was_class)
        was_class = nil
      end
      if old or new then file(key, (new or old).locator, was_class, new and reclaim_at(new), new and new.class) end
      if new and not old then place(ORDERED, '0', key) end
      if old and not new then displace(ORDERED, key) end
      if system then return end
      if new then place(CHANGES, whole(new.seq), key) end
      if old and not new then displace(CHANGES, key) end
    end

    -- Drops removals that are both old and many; who has not read them yet is told of the gap.
    local function forget()
      local excess = call('ZCARD', KEYS[REMOVALS]) - keep_removals
      for _ = 1, math.min(excess, 200) do
        local oldest = call('ZRANGE', KEYS[REMOVALS], 0, 0)
        if math.max(wall, ms) - fields('>I6', oldest[1], 2) <= keep_ms then return end
        call('ZREM', KEYS[REMOVALS], oldest[1])
        call('HSET', KEYS[LEDGER], 'f', whole(fields('>I7', oldest[1], 8)))
      end
    end

    local function store_all()
      local removes = false
      for _, effect in ipairs(effects) do
        if not effect.system then
          if not effect.new and effect.old then
            local member = pack('>BI6I7', effect.cause, math.max(wall, ms), effect.seq) .. key_of(effect.i)
            place(REMOVALS, whole(effect.seq), member)
            removes = true
          end
          if effect.ended then call('HINCRBY', KEYS[LEDGER], 'r' .. effect.ended, 1) end
        end
      end
      for _, i in ipairs(places) do store(i) end
      return removes and forget
    end

    return decide, carry_out, gather, store_all
  end

  local decide, carry_out, gather, store_all
  local answers, at = {}, PLACEMENTS + placement_count
  while at < #ARGV do
    local argument, tail = ARGV[at], ARGV[at + 1]
    local i, op, guard, reply, place_of, system, namespace_len = fields(WRITE, argument)
    local p, answer = placements[place_of], nil
    -- Only of what is put into a register more is known.
    local is_put = (op == 'P' or op == 'A') and p.kind == LWW
    if is_put and reply == 0 and guard <= 1 then answer = put_register(i, p, argument, tail) end
    if not answer then
      if not decide then decide, carry_out, gather, store_all = general() end
      local version, has_writer, touch, mode, has_amount, sign, amount, cause, ended_code, names_sum, names_len =
        fields(GENERAL, argument, is_put and GENERAL_OF_PUT or GENERAL_AT)
      local w = {
        i = i, op = op, guard = guard, version = version, reply = reply, namespace = sub(key_of(i), 1, namespace_len),
        system = system == 1, has_writer = has_writer == 1, touch = touch, mode = mode, has_amount = has_amount == 1,
        sign = sign, amount = amount, cause = cause, ended = ended_code < NONE and ended_code or nil,
        names_sum = names_sum,
      }
      if is_upon == 1 then
        w.body = tail
        carry_out(w)
        answer = ''
      else
        w.body = sub(tail, names_len + 1)
        w.writer = sub(tail, #p.rule + 1, names_len)
        answer = decide(w, p)
      end
    end
    at = at + 2
    answers[#answers + 1] = answer or 'N'
    if not answer then break end
  end
  if is_upon == 1 then
    answers = { ARGV[ANSWERS] }
    if #effects > 0 then ms, c = ms_after, c_after end
  end
  if gather then gather() end
  if #effects + #puts == 0 then return answers, nil end

  return answers, function()
    local forget = store_all and store_all()
    for _, put in ipairs(puts) do
      if put then
        store_put(put.i, key_of(put.i), put.value, put.system, put.seq, put.before == '', put.locator, put.instant,
          put.was_class, put.class, put.ended)
      end
    end
    return forget
  end
end

---- the batch --------------------------------------------------------------------------------------------------------

local answers, is_changed, store
if way == 1 then
  answers = put_all()
  is_changed = answers
elseif way == 2 then
  answers, is_changed = carry_all()
end
if not answers then
  answers, store = decide_each()
  is_changed = store
end

---- carrying out -------------------------------------------------------------------------------------------------

local asked = { 'HMGET', KEYS[USAGE] }
for _, group in ipairs(groups) do
  local sum = sums[group]
  if sum[1] ~= 0 or sum[2] ~= 0 or sum[3] ~= 0 or sum[4] ~= 0 then asked[#asked + 1] = group end
end
local more, less = { 'HSET', KEYS[USAGE] }, { 'HDEL', KEYS[USAGE] }
if #asked > 2 then
  -- All that may fail on damaged data comes before the first change.
  for n, tally in ipairs(call(unpack(asked))) do
    local group = asked[n + 2]
    local sum = sums[group]
    local entries, stored, raw, packed = 0, 0, 0, 0
    if tally then entries, stored, raw, packed = fields('>I6I7I7I6', tally) end
    entries, stored = math.max(entries + sum[1], 0), math.max(stored + sum[2], 0)
    raw, packed = math.max(raw + sum[3], 0), math.max(packed + sum[4], 0)
    if entries == 0 then
      less[#less + 1] = group
    else
      more[#more + 1], more[#more + 2] = group, pack('>I6I7I7I6', entries, stored, raw, packed)
    end
  end
end

if is_changed then
  call('HSET', KEYS[LEDGER], 's', whole(seq), 'ms', whole(ms), 'c', whole(c), 'e', epoch)
  local forget = store and store()
  commands[#commands + 1] = kept.n > 1 and kept or nil
  commands[#commands + 1] = gone.n > 1 and gone or nil
  commands[#commands + 1] = #more > 2 and more or nil
  commands[#commands + 1] = #less > 2 and less or nil
  for _, command in ipairs(commands) do call(unpack(command, 1, command.n)) end
  if forget then forget() end
  -- Waking is a courtesy: whoever may not publish still writes.
  if channel ~= '' then redis.pcall('PUBLISH', channel, '') end
end

if step == 0 and is_repeated == 0 then said = {} end
said[#said + 1] = { tokens, step, answers }
local reply = pack('>I7c16', number, sub(said[1][1], 1, 16)) .. cmsgpack.pack(said)
call('SET', KEYS[LAST], reply, 'PX', whole(keep_reply_ms))
-- Whoever decided in Rust has the answers.
if is_upon == 1 then return { 'done', info(), {} } end
return { 'ok', info(), answers }
