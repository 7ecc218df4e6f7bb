-- SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
-- SPDX-License-Identifier: Apache-2.0

-- Removes the tokens of a take, if they are there.
--
-- KEYS: those of the take
-- ARGV: the take's id

for _, key in ipairs(KEYS) do
  redis.call('ZREM', key, ARGV[1])
end
return 0
