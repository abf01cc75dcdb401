#!/usr/bin/env python3
"""Compressed echoes with the package websockets (Debian: python3-websockets), for the tests.

    deflate_client.py URL JSON   JSON is an object of parameters as RFC 7692, section 7.1, names them

Wants the compression to be agreed on and every message back, closes with 1000. What happened is printed line by line; the
exit code is 0 if all was as it should be.
"""

import asyncio
import json
import random
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

PATIENCE = 60


def letters(size):
    parts = []
    for _ in range(size // 200 + 1):
        parts.append("ä" * 200 if random.random() < 0.5 else "".join(chr(random.randint(32, 122)) for _ in range(200)))
    return "".join(parts)[:size]


async def main(url, offer):
    async with websockets.connect(
        url,
        max_size=None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        compression=None,
        extensions=[ClientPerMessageDeflateFactory(**offer)],
    ) as socket:
        if [extension.name for extension in socket.extensions] != ["permessage-deflate"]:
            raise AssertionError(f"agreed on {socket.extensions}")
        count = 0
        for size in [0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072, 1 << 20]:
            for text in [letters(size), letters(size)]:
                for message in [text, text.encode("latin-1")]:
                    # A list is sent as fragments.
                    fragments = count % 3 == 0 and size > 1
                    await socket.send([message[: size // 2], message[size // 2 :]] if fragments else message)
                    answer = await asyncio.wait_for(socket.recv(), PATIENCE)
                    if type(answer) is not type(message) or answer != message:
                        raise AssertionError(f"message {count} of size {size} came back otherwise")
                    count += 1
        print(f"echoed {count}", flush=True)
        await socket.close(1000, "bye")
        print(f"closed {socket.close_rcvd.code}", flush=True)


if len(sys.argv) != 3:
    sys.exit(__doc__)
random.seed(1)
asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
