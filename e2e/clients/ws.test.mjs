// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import assert from "node:assert/strict";
import { converse } from "./socket.mjs";
import { ask, connect } from "./talk.mjs";

assert.match(await ask("Hello!"), /I heard “Hello!”/);
await converse(await connect());
