-- The entries of a due index that come after a place in it, which may be amid many of the same instant.
--
-- KEYS  1 due index
-- ARGV  1 instant of the place, 2 its locator, 3 the latest instant that is asked for, 4 how many

local function rank(bound) return redis.call('ZCOUNT', KEYS[1], '-inf', bound) end

local low, high, last = rank('(' .. ARGV[1]), rank(ARGV[1]), rank(ARGV[3])
local number, limit = tonumber(ARGV[2]), tonumber(ARGV[4])
while low < high do
  local middle = math.floor((low + high) / 2)
  local member = redis.call('ZRANGE', KEYS[1], middle, middle)[1]
  if struct.unpack('>I7', member) > number then high = middle else low = middle + 1 end
end
if low >= last then return {} end
return redis.call('ZRANGE', KEYS[1], low, math.min(low + limit, last) - 1, 'WITHSCORES')
