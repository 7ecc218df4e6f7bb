-- SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
-- SPDX-License-Identifier: Apache-2.0

-- Takes one token of each limit, or of none. Each key is the sorted set of a
-- client's tokens of a limit: the ids of takes by the times of them, in microseconds
-- of the server's clock.
--
-- KEYS: one for each limit
-- ARGV: the take's id, the time after which it must not happen any more, and for each
-- limit its count and its window in microseconds
--
-- Returns the server's time and what happened: 0 (taken), 1 (refused), with the wait
-- in microseconds and the indexes of the limits that refused, or 2 (too late).

-- Lua would write such numbers with fewer digits than they have.
local function text(number)
  return string.format('%.0f', number)
end

local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now > tonumber(ARGV[2]) then
  return {now, 2}
end

local wait = 0
local refused = {}
for i, key in ipairs(KEYS) do
  -- The same take again, since its reply was lost: it took of all or of none.
  if redis.call('ZSCORE', key, ARGV[1]) then
    return {now, 0}
  end
  local count = tonumber(ARGV[2 * i + 1])
  local window = tonumber(ARGV[2 * i + 2])

  -- The clock was set back since. What was taken was not taken later than now.
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. text(now), '+inf')) do
    redis.call('ZADD', key, text(now), id)
  end

  local after = '(' .. text(now - window)
  local over = redis.call('ZCOUNT', key, after, '+inf') - count
  if over >= 0 then
    local first = redis.call('ZRANGEBYSCORE', key, after, '+inf', 'WITHSCORES', 'LIMIT', over, 1)
    wait = math.max(wait, first[2] + window - now)
    refused[#refused + 1] = i - 1
  end
end
if #refused > 0 then
  return {now, 1, wait, unpack(refused)}
end

for i, key in ipairs(KEYS) do
  -- First, because a server without memory refuses a script's first write only.
  redis.call('ZADD', key, text(now), ARGV[1])
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(now - ARGV[2 * i + 2]))
  -- A second longer, so that the tokens go by their times and not by this.
  redis.call('PEXPIRE', key, text(math.ceil(ARGV[2 * i + 2] / 1000) + 1000))
end
return {now, 0}
