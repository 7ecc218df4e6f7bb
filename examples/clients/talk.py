# SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
# SPDX-License-Identifier: Apache-2.0

"""Talks to the agent with the library websockets, as xAI's guide does, but with a token.

    SESSION_URL=https://voice.example.com/session python3 talk.py "How are you?"
"""

import asyncio
import json
import os
import sys
import urllib.request

import websockets

SESSION_URL = os.environ.get("SESSION_URL", "https://voice.example.com/session")  # where xai_ephemeral_token answers
REALTIME_URL = os.environ.get("REALTIME_URL", "wss://api.x.ai/v1/realtime")

# The option has another name since version 14, in which websockets.connect is a new one.
HEADERS = "additional_headers" if int(websockets.__version__.split(".")[0]) >= 14 else "extra_headers"


def fetch_token():
    """Returns a token, which opens one session: fetch another for every attempt."""
    with urllib.request.urlopen(urllib.request.Request(SESSION_URL, method="POST"), timeout=15) as answer:
        return json.load(answer)["value"]


def connect():
    """Opens a session, as in "async with connect() as socket"."""
    headers = {"Authorization": f"Bearer {fetch_token()}"}
    return websockets.connect(f"{REALTIME_URL}?model=grok-voice-latest", **{HEADERS: headers})


async def ask(text):
    """Says text to the agent, and returns what it answers."""
    async with connect() as socket:
        for event in (
            {"type": "session.update", "session": {"voice": "eve", "instructions": "You are a helpful assistant."}},
            {
                "type": "conversation.item.create",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]},
            },
            {"type": "response.create"},
        ):
            await socket.send(json.dumps(event))
        async for message in socket:
            event = json.loads(message)
            if event["type"] == "error":
                raise RuntimeError(event["error"]["message"])
            if event["type"] == "response.done":
                return event["response"]["output"][0]["content"][0]["transcript"]


if __name__ == "__main__":
    print(asyncio.run(ask(sys.argv[1] if len(sys.argv) > 1 else "Hello!")))
