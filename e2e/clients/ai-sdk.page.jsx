// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

import { createRoot } from "react-dom/client";
import { Conversation } from "./ai-sdk.jsx";

createRoot(document.getElementById("root")).render(<Conversation />);
