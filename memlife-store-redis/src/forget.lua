-- Takes an entry off the indexes whose record is gone: a server that may not evict has evicted it, or somebody took it.
--
-- KEYS  1 ledger, 2 keys in order, 3 changes, 4 removals, 5 due index, 6 the record
-- ARGV  1 the member of the due index, 2 the key, 3 wall clock in ms or '' for the server's, 4 '1' for a system key

if redis.call('EXISTS', KEYS[6]) == 1 then return 0 end
if redis.call('ZREM', KEYS[5], ARGV[1]) == 0 then return 0 end
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[2])
if ARGV[4] == '1' then return 1 end
local time = ARGV[3] == '' and redis.call('TIME')
local wall = time and (time[1] * 1000 + math.floor(time[2] / 1000)) or tonumber(ARGV[3])
local seq = tonumber(redis.call('HGET', KEYS[1], 's') or 0) + 1
local ms = math.max(tonumber(redis.call('HGET', KEYS[1], 'ms') or 0), wall)
redis.call('HSET', KEYS[1], 's', string.format('%.0f', seq))
redis.call('HINCRBY', KEYS[1], 'r0', 1)
redis.call('ZADD', KEYS[4], string.format('%.0f', seq), struct.pack('>BI6I7', 0, ms, seq) .. ARGV[2])
return 1
