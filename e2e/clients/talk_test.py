# SPDX-FileCopyrightText: 2026 The caddy-xai-ephemeral-token Authors
# SPDX-License-Identifier: Apache-2.0

"""Holds a conversation with talk.py: types, speaks, interrupts and hangs up."""

import array
import asyncio
import base64
import importlib
import json
import math

import talk
import websockets

RATE = 24_000


def speech(seconds):
    return array.array("h", (int(8000 * math.sin(i / 20)) for i in range(int(seconds * RATE)))).tobytes()


def silence(seconds):
    return bytes(2 * int(seconds * RATE))


async def converse():
    async with talk.connect() as socket:

        async def send(event):
            await socket.send(json.dumps(event))

        async def hear(sound):
            for i in range(0, len(sound), RATE // 5):
                piece = base64.b64encode(sound[i : i + RATE // 5]).decode()
                await send({"type": "input_audio_buffer.append", "audio": piece})

        async def until(kind):
            while True:
                event = json.loads(await asyncio.wait_for(socket.recv(), 20))
                assert event["type"] != "error", event
                if event["type"] == kind:
                    return event

        await until("session.created")
        await send({"type": "session.update", "session": {"voice": "ara", "turn_detection": {"type": "server_vad"}}})
        await until("session.updated")

        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How are you?"}]}
        await send({"type": "conversation.item.create", "item": item})
        await send({"type": "response.create"})
        response = (await until("response.done"))["response"]
        assert "I heard “How are you?”" in response["output"][0]["content"][0]["transcript"], response

        await hear(speech(1.5) + silence(1))
        event = await until("conversation.item.input_audio_transcription.completed")
        assert "I spoke for 1.5 seconds" in event["transcript"], event
        await until("response.output_audio.delta")

        await hear(speech(0.5))
        response = (await until("response.done"))["response"]
        assert response["status"] == "cancelled", response
    assert socket.closed if hasattr(socket, "closed") else socket.close_code == 1000


def check_header_options():
    """The option is the one that each version of the library has."""
    connect, version = websockets.connect, websockets.__version__
    options = []
    websockets.connect = lambda url, **given: options.append(*given)
    try:
        for websockets.__version__ in ("10.4", "13.1", "14.0", "16.0.1"):
            importlib.reload(talk)
            talk.connect()
    finally:
        websockets.connect, websockets.__version__ = connect, version
        importlib.reload(talk)
    assert options == ["extra_headers", "extra_headers", "additional_headers", "additional_headers"], options


if __name__ == "__main__":
    check_header_options()
    assert "I heard “Hello!”" in asyncio.run(talk.ask("Hello!"))
    asyncio.run(converse())
