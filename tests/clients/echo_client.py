#!/usr/bin/env python3
"""WebSocket client for the tests, with the package websockets (Debian: python3-websockets).

    echo_client.py echo URL   sends text and binary, wants both back, closes with 1000
    echo_client.py wait URL   waits until the server closes

Both want the greeting first. What happened is printed line by line; the exit code is 0 if all was as it should be.
"""

import asyncio
import sys

import websockets

PATIENCE = 60

TEXTS = ["Hello!", "", "Grüße, 世界, 👩‍👩‍👧 \U0001f600", "x" * 70_000]
BINARIES = [b"", bytes(range(256)), bytes(i * 7 % 251 for i in range(1 << 20))]


def say(text):
    print(text, flush=True)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


async def echo(socket):
    for message in TEXTS + BINARIES:
        await socket.send(message)
        answer = await asyncio.wait_for(socket.recv(), PATIENCE)
        check(
            type(answer) is type(message) and answer == message,
            f"{type(message).__name__} of {len(message)} came back as {type(answer).__name__} of {len(answer)}",
        )
    say(f"echoed {len(TEXTS)} texts, {len(BINARIES)} binaries")
    await socket.close(1000, "bye")


async def main(mode, url):
    async with websockets.connect(url, max_size=None, open_timeout=PATIENCE, close_timeout=PATIENCE) as socket:
        welcome = await asyncio.wait_for(socket.recv(), PATIENCE)
        check(welcome == "Welcome!", f"greeted with {welcome!r}")
        say("welcome")
        if mode == "echo":
            await echo(socket)
        await asyncio.wait_for(socket.wait_closed(), PATIENCE)
        # The server's own Close frame; close_code alone could be the one sent.
        received = socket.close_rcvd
        check(received is not None, "the server sent no Close frame")
        say(f"closed {received.code}")


if len(sys.argv) != 3 or sys.argv[1] not in ("echo", "wait"):
    sys.exit(__doc__)
asyncio.run(main(*sys.argv[1:]))
