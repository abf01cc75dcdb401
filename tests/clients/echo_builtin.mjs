// WebSocket client for the tests, with the WebSocket that Node.js has itself: from 22 on, in 20 with
// --experimental-websocket.
//
//     node echo_builtin.mjs echo URL   sends text and binary, wants both back, closes with 1000
//     node echo_builtin.mjs wait URL   waits until the server closes
//
// Both want the greeting first. What happened is printed line by line; the exit code is 0 if all was as it should be.

import assert from "node:assert/strict";

const PATIENCE = 60_000;

const texts = ["Hello!", "", "Grüße, 世界, 👩‍👩‍👧 \u{1f600}", "x".repeat(70_000)];
const binaries = [
  Buffer.alloc(0),
  Buffer.from(Array.from({ length: 256 }, (_, i) => i)),
  Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 7) % 251)),
];

const [mode, url] = process.argv.slice(2);
assert(["echo", "wait"].includes(mode) && url, "usage: node echo_builtin.mjs echo|wait URL");
setTimeout(() => assert.fail("nothing happens any more"), PATIENCE).unref();

const socket = new WebSocket(url);
socket.binaryType = "arraybuffer";
const closed = new Promise((resolve) => socket.addEventListener("close", resolve));

// Messages may come before they are asked for.
const inbox = [];
const waiting = [];
socket.addEventListener("message", ({ data }) => {
  const message = typeof data === "string" ? data : Buffer.from(data);
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
const { code } = await closed;
console.log(`closed ${code}`);
