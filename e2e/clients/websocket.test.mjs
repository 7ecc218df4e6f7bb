// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { converse } from "./socket.mjs";
import { connect } from "./websocket.mjs";

await converse(await connect());
