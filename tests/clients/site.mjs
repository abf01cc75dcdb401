// The page in tests/clients/site in a real browser: chromium, driven by playwright-core (tests/clients/install.sh).
//
//     node site.mjs SCENARIO URL [ARGUMENT...]
//
// SCENARIO is a name of the table at the end, URL the page. What happened is printed line by line; the exit code is 0 if
// all was as it should be. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chromium } from "playwright-core";

const PATIENCE = 60_000;

const [scenario, url, ...rest] = process.argv.slice(2);
setTimeout(() => {
  console.error("nothing happens any more");
  process.exit(1);
}, 2 * PATIENCE).unref();

// playwright gives each browser a user data directory of its own, and deletes it.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  timeout: PATIENCE,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--no-proxy-server", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

const complaints = [];

/** A page that reports what it complains of; a failed WebSocket is in the console too and no complaint, nor is the icon it looks for. */
async function open() {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    const { url: source } = message.location();
    if (message.type() === "error" && !message.text().startsWith("WebSocket connection to ") && !source.endsWith("/favicon.ico")) {
      complaints.push(message.text());
    }
  });
  await page.goto(url);
  return page;
}

const webSocket = (path) => new URL(path, url).toString().replace(/^http/, "ws");

/** Static files, routes, JSON, a cookie, an upload. */
async function http() {
  const page = await open();
  assert.equal(await page.title(), "Site of the tests");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).color), "rgb(1, 2, 3)");
  assert.equal(await page.evaluate(() => typeof echo), "function");
  console.log("page, style and script");

  const sum = await page.evaluate(async () => {
    const body = JSON.stringify({ X: 2, Y: 40 });
    const response = await fetch("/sum/Grüße%20👋", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    return [response.status, response.headers.get("Content-Type"), await response.json()];
  });
  assert.deepEqual(sum, [200, "application/json", { name: "Grüße 👋", sum: 42 }]);
  console.log("JSON");

  const cookies = await page.evaluate(async () => {
    const before = await (await fetch("/who")).text();
    await fetch("/login", { method: "POST", body: new URLSearchParams({ name: "Jane" }) });
    return [before, await (await fetch("/who")).text(), document.cookie];
  });
  assert.deepEqual(cookies, ["nobody", "Jane", ""]);
  const greeting = await page.evaluate(async (address) => {
    const connection = await connect(address);
    const greeting = await connection.next();
    connection.socket.close();
    await connection.closed;
    return greeting;
  }, webSocket("/hello"));
  assert.equal(greeting, "Hello, Jane!");
  console.log("cookie, for requests and WebSockets");

  const file = Buffer.from(Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * i) % 257));
  await page.fill("input[name=note]", "a note: ü");
  await page.setInputFiles("input[name=file]", { name: "größe \"1\".bin", mimeType: "application/x-test", buffer: file });
  await Promise.all([page.waitForURL("**/done"), page.click("button")]);
  const hash = createHash("sha256").update(file).digest("hex");
  const lines = (await page.textContent("body")).trim().split("\n");
  // Browsers write a quote of a name as %22 (HTML, "multipart form data"); it is not to be told from a %22 of the name's own.
  assert.deepEqual(lines, ["note: a note: ü", `file: größe %221%22.bin, application/x-test, 3000000 bytes, ${hash}`]);
  console.log("upload");
}

/** Echoes, and closings from either side. */
async function echoes() {
  const page = await open();
  const problems = await page.evaluate(async (address) => {
    const connection = await connect(address);
    const problems = await echo(connection);
    connection.socket.close();
    await connection.closed;
    return problems;
  }, webSocket("/ws"));
  assert.deepEqual(problems, []);
  console.log("echoed");
  for (const [code, reason] of [[1000, "x".repeat(123)], [3000, ""], [4999, "Grüße 👋"]]) {
    const closed = await page.evaluate(async ([address, code, reason]) => {
      const connection = await connect(address);
      connection.socket.close(code, reason);
      return connection.closed;
    }, [webSocket("/ws"), code, reason]);
    console.log(`closed ${closed.code} ${closed.wasClean}`);
  }
  const closed = await page.evaluate(async (address) => (await connect(address)).closed, webSocket("/closing"));
  console.log(`server: ${closed.code} ${closed.reason} ${closed.wasClean}`);
}

/** The argument is the WebSocket of another server, which lets this page in or not. */
async function origin() {
  const page = await open();
  for (const address of [webSocket("/ws"), rest[0]]) {
    const result = await page.evaluate(async (address) => {
      const connection = await connect(address);
      if (!connection.open) return `refused, ${(await connection.closed).code}`;
      connection.socket.send("there?");
      const answer = await connection.next();
      connection.socket.close();
      await connection.closed;
      return answer;
    }, address);
    console.log(result);
  }
}

/** With compression, which the browser offers on its own. */
async function deflate() {
  const page = await open();
  const [extensions, problems] = await page.evaluate(async (address) => {
    const connection = await connect(address);
    const problems = [...(await echo(connection)), ...(await echo(connection))];
    connection.socket.close();
    await connection.closed;
    return [connection.socket.extensions, problems];
  }, webSocket("/ws"));
  assert.match(extensions, /^permessage-deflate\b/);
  assert.deepEqual(problems, []);
  console.log("echoed with permessage-deflate");
}

const scenarios = { http, echoes, origin, deflate };
try {
  assert(Object.hasOwn(scenarios, scenario) && url, `usage: node site.mjs ${Object.keys(scenarios).join("|")} URL [ARGUMENT...]`);
  await scenarios[scenario]();
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
