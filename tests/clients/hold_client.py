#!/usr/bin/env python3
"""WebSocket client for the tests, with the package websockets (Debian: python3-websockets).

    hold_client.py URL   connects, says "open", answers pings and holds the connection for as long as it lasts
"""

import asyncio
import os
import sys

import websockets

PATIENCE = 60


async def main(url):
    # No pings of its own: how long the server takes to notice is what the tests are about.
    async with websockets.connect(url, open_timeout=PATIENCE, ping_interval=None) as socket:
        print("open", flush=True)
        await socket.wait_closed()
        print(f"closed {socket.close_code}", flush=True)


if len(sys.argv) != 2:
    sys.exit(__doc__)
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]  # the server is next door
asyncio.run(main(sys.argv[1]))
