// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { converse } from "./agents-conversation.mjs";

window.outcome = await converse().then(() => "ok", String);
