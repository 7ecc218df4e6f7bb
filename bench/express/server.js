// SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
// SPDX-License-Identifier: Apache-2.0

// A token endpoint with Express, as xAI's guide to ephemeral tokens describes it.
import express from "express";

const endpoint = `http://${process.env.UPSTREAM}/v1/realtime/client_secrets`;

const app = express();
app.use(express.json());

app.post("/session", async (req, res) => {
  const r = await fetch(endpoint, {
    method: "POST",
    headers: {
      Authorization: `Bearer ${process.env.XAI_API_KEY}`,
      "Content-Type": "application/json",
    },
    body: JSON.stringify({ expires_after: { seconds: 300 } }),
  });
  res.json(await r.json());
});

const [host, port] = process.env.ADDRESS.split(":");
app.listen(Number(port), host);
