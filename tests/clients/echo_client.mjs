// WebSocket client for the tests, with the npm package ws (tests/clients/install.sh).
//
//     node echo_client.mjs echo URL   sends text and binary, wants both back, closes with 1000
//     node echo_client.mjs wait URL   waits until the server closes
//
// Both want the greeting first. What happened is printed line by line; the exit code is 0 if all was as it should be.

import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";

const PATIENCE = 60_000;

const texts = ["Hello!", "", "Grüße, 世界, 👩‍👩‍👧 \u{1f600}", "x".repeat(70_000)];
const binaries = [
  Buffer.alloc(0),
  Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7) % 251)),
];

const [mode, url] = process.argv.slice(2);
assert(["echo", "wait"].includes(mode) && url, "usage: node echo_client.mjs echo|wait URL");
setTimeout(() => assert.fail("nothing happens any more"), PATIENCE).unref();

const socket = new WebSocket(url, { handshakeTimeout: PATIENCE });
const closed = once(socket, "close");

// Messages may come before they are asked for.
const inbox = [];
const waiting = [];
socket.on("message", (data, isBinary) => {
  const message = isBinary ? data : data.toString("utf8");
  const next = waiting.shift();
  next ? next(message) : inbox.push(message);
});
const receive = () =>
  inbox.length > 0 ? Promise.resolve(inbox.shift()) : new Promise((resolve) => waiting.push(resolve));

assert.equal(await receive(), "Welcome!");
console.log("welcome");
if (mode === "echo") {
  for (const message of [...texts, ...binaries]) {
    socket.send(message);
    assert.deepEqual(await receive(), message);
  }
  console.log(`echoed ${texts.length} texts, ${binaries.length} binaries`);
  socket.close(1000, "bye");
}
// The code is that of the server's own Close frame; 1005 or 1006 when it sent none.
const [code] = await closed;
console.log(`closed ${code}`);
