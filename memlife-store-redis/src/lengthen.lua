-- Lengthens the grace of a shard: how long dead entries wait for replicas.
--
-- KEYS  1 ledger
-- ARGV  1 grace in ms

if tonumber(redis.call('HGET', KEYS[1], 'g') or 0) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'g', ARGV[1])
end
return 1
