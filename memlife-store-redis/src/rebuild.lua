-- Puts indexes that were rebuilt from the records in the place of those that are there, and damaged records aside.
--
-- KEYS  1 ledger, 2 keys in order, 3 changes, 4 usage, 5-9 due index by class, then two of each damaged record: its name and
--       the one it gets, under which it stays for good
-- ARGV  1 the `seq` that the records were read at, then three of each member: place of its index in KEYS, score or
--       field, member or value

if (redis.call('HGET', KEYS[1], 's') or '0') ~= ARGV[1] then return 0 end
for place = 10, #KEYS, 2 do
  if redis.call('EXISTS', KEYS[place]) == 1 then
    redis.call('RENAME', KEYS[place], KEYS[place + 1])
    redis.call('PERSIST', KEYS[place + 1])
  end
end
for place = 2, 9 do redis.call('DEL', KEYS[place]) end
for at = 2, #ARGV, 3 do
  local place = tonumber(ARGV[at])
  redis.call(place == 4 and 'HSET' or 'ZADD', KEYS[place], ARGV[at + 1], ARGV[at + 2])
end
return 1
