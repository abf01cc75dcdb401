// Compressed echoes with the npm package ws (tests/clients/install.sh), for the tests.
//
//     node deflate_client.mjs URL JSON   JSON is an object of parameters as RFC 7692, section 7.1, names them
//
// Wants the compression to be agreed on and every message back, closes with 1000. What happened is printed line by line;
// the exit code is 0 if all was as it should be.

import assert from "node:assert/strict";
import { once } from "node:events";
import WebSocket from "ws";

const PATIENCE = 60_000;

const [url, json] = process.argv.slice(2);
const offer = JSON.parse(json);
setTimeout(() => assert.fail("nothing happens any more"), PATIENCE).unref();

const socket = new WebSocket(url, {
  handshakeTimeout: PATIENCE,
  maxPayload: 0,
  perMessageDeflate: {
    threshold: 0,
    serverNoContextTakeover: offer.server_no_context_takeover,
    clientNoContextTakeover: offer.client_no_context_takeover,
    serverMaxWindowBits: offer.server_max_window_bits,
    clientMaxWindowBits: offer.client_max_window_bits,
  },
});
await once(socket, "open");
assert.equal(socket.extensions, "permessage-deflate");

let state = 1;
const random = () => (state = (state * 48271) % 2147483647);
const letters = (size) => {
  let text = "";
  while (text.length < size) {
    text += random() % 2 === 0 ? "ä".repeat(200) : String.fromCharCode(...Array.from({ length: 200 }, () => 32 + (random() % 90)));
  }
  return text.slice(0, size);
};

let count = 0;
for (const size of [0, 1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072, 1 << 20]) {
  for (const text of [letters(size), letters(size)]) {
    for (const message of [text, Buffer.from(text, "latin1")]) {
      const echo = once(socket, "message");
      if (count % 3 === 0 && size > 1) {
        socket.send(message.slice(0, size >> 1), { fin: false });
        socket.send(message.slice(size >> 1), { fin: true });
      } else {
        socket.send(message);
      }
      const [data, isBinary] = await echo;
      assert.equal(isBinary, typeof message !== "string");
      assert.ok(data.equals(Buffer.from(message)), `message ${count} of size ${size}`);
      count++;
    }
  }
}
console.log(`echoed ${count}`);

const closed = once(socket, "close");
socket.close(1000, "bye");
const [code] = await closed;
console.log(`closed ${code}`);
