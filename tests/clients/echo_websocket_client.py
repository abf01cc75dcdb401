#!/usr/bin/env python3
"""WebSocket client for the tests, with the package websocket-client (Debian: python3-websocket).

    echo_websocket_client.py echo URL   sends text and binary, wants both back, closes with 1000
    echo_websocket_client.py wait URL   waits until the server closes

Both want the greeting first. What happened is printed line by line; the exit code is 0 if all was as it should be.
"""

import struct
import sys

import websocket

PATIENCE = 60

TEXTS = ["Hello!", "", "Grüße, 世界, 👩‍👩‍👧 \U0001f600", "x" * 70_000]
BINARIES = [b"", bytes(range(256)), bytes(i * 7 % 251 for i in range(1 << 20))]


def say(text):
    print(text, flush=True)


def check(condition, text):
    if not condition:
        raise AssertionError(text)


def receive(socket):
    """The opcode and the bytes of the next message or Close frame; pings are answered."""
    while True:
        opcode, data = socket.recv_data(control_frame=True)
        if opcode not in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG):
            return opcode, data


def echo(socket):
    messages = [(websocket.ABNF.OPCODE_TEXT, text.encode()) for text in TEXTS]
    messages += [(websocket.ABNF.OPCODE_BINARY, binary) for binary in BINARIES]
    for opcode, data in messages:
        socket.send(data, opcode)
        answer = receive(socket)
        check(answer == (opcode, data), f"{opcode} of {len(data)} bytes came back as {answer[0]} of {len(answer[1])}")
    say(f"echoed {len(TEXTS)} texts, {len(BINARIES)} binaries")
    socket.send_close(1000, b"bye")


def main(mode, url):
    socket = websocket.create_connection(url, timeout=PATIENCE)
    welcome = receive(socket)
    check(welcome == (websocket.ABNF.OPCODE_TEXT, b"Welcome!"), f"greeted with {welcome!r}")
    say("welcome")
    if mode == "echo":
        echo(socket)
    opcode, data = receive(socket)
    check(opcode == websocket.ABNF.OPCODE_CLOSE, f"{opcode} came, not a Close frame")
    check(len(data) >= 2, "the server's Close frame has no code")
    code = struct.unpack("!H", data[:2])[0]
    if mode == "wait":
        socket.send_close(code)
    socket.shutdown()
    say(f"closed {code}")


if len(sys.argv) != 3 or sys.argv[1] not in ("echo", "wait"):
    sys.exit(__doc__)
main(*sys.argv[1:])
