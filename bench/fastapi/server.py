# SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
# SPDX-License-Identifier: Apache-2.0

"""A token endpoint with FastAPI, as xAI's guide to ephemeral tokens describes it."""

import os

import httpx
import uvicorn
from fastapi import FastAPI

ENDPOINT = f"http://{os.environ['UPSTREAM']}/v1/realtime/client_secrets"
XAI_API_KEY = os.environ["XAI_API_KEY"]

app = FastAPI()


@app.post("/session")
async def session():
    async with httpx.AsyncClient() as client:
        response = await client.post(
            ENDPOINT,
            headers={
                "Authorization": f"Bearer {XAI_API_KEY}",
                "Content-Type": "application/json",
            },
            json={"expires_after": {"seconds": 300}},
        )
    return response.json()


if __name__ == "__main__":
    host, port = os.environ["ADDRESS"].split(":")
    uvicorn.run(app, host=host, port=int(port))
