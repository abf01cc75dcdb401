// What clients see of the end of a WebSocket: code, reason, wasClean, and whether there was an error event.
//
//     node closing.mjs CLIENT URL [CLOSE...]
//
// CLIENT is chromium (playwright-core) or ws (both from tests/clients/install.sh), or node for the WebSocket of Node.js itself.
// Each CLOSE is one connection and one line of output: a JSON array with the arguments of close(), or a path of the server,
// which closes as soon as it is open. CHROMIUM names another browser than /usr/bin/chromium. Any certificate will do.

import assert from "node:assert/strict";

const PATIENCE = 60_000;

const [client, url, ...closes] = process.argv.slice(2);
assert(["chromium", "ws", "node"].includes(client) && url, "usage: node closing.mjs chromium|ws|node URL [CLOSE...]");
setTimeout(() => {
  console.error("nothing happens any more");
  process.exit(1);
}, 2 * PATIENCE).unref();

/** One connection, in a page too: what it saw of its end, as a line. */
function closing([url, close, options]) {
  return new Promise((resolve) => {
    const socket = options ? new WebSocket(url, options) : new WebSocket(url);
    let errors = 0;
    socket.onerror = () => errors++;
    socket.onopen = () => close && socket.close(...close);
    socket.onclose = ({ code, reason, wasClean }) =>
      resolve(`${code} '${reason}' ${wasClean ? "clean" : "not clean"}${errors > 0 ? `, ${errors} errors` : ""}`);
  });
}

let run = closing;
let end = () => {};
if (client === "chromium") {
  const { chromium } = await import("playwright-core");
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
    timeout: PATIENCE,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage();
  await page.goto(new URL("/", url).toString().replace(/^ws/, "http")); // the WebSocket's own origin
  run = (argument) => page.evaluate(closing, argument);
  end = () => browser.close();
} else if (client === "ws") {
  globalThis.WebSocket = (await import("ws")).WebSocket;
}

try {
  for (const close of closes) {
    const isPath = close.startsWith("/");
    const options = client === "ws" ? { rejectUnauthorized: false } : null;
    console.log(await run([new URL(isPath ? close : "/ws", url).toString(), isPath ? null : JSON.parse(close), options]));
  }
} finally {
  await end();
}
