// The EchoServer's page in a real browser: chromium, driven by playwright-core (tests/clients/install.sh).
//
//     node browser.mjs SCENARIO URL [ARGUMENT...]
//
// SCENARIO is a name of the table at the end, URL the page. What happened is printed line by line; the exit code is 0 if
// all was as it should be. CHROMIUM names another browser than /usr/bin/chromium.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const PATIENCE = 60_000;
const EMOJI = "Grüße, 世界, 👩‍👩‍👧 \u{1f600}";

const LONG = `Grüße, a longer message that is broken into lines where the screen is narrow: ${"0123456789".repeat(8)}`;

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
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});

// ---- a page and its log ----

const complaints = [];

/** A page that reports what it complains of; a failed WebSocket is in the console too and no complaint. */
async function open(context, address = url) {
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().startsWith("WebSocket connection to ")) {
      complaints.push(message.text());
    }
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(new URL(address).origin) && !request.url().startsWith("data:")) {
      complaints.push(`the page asks for ${request.url()}`);
    }
  });
  await page.goto(address);
  await page.evaluate(() => (document.getElementById("settings").open = document.getElementById("more").open = true));
  return page;
}

const lines = (page) =>
  page.$$eval("#log > div", (all) =>
    all.map((line) => ["what", "kind", "data"].map((part) => line.querySelector(`.${part}`).textContent)),
  );

/** The first line that has these texts in its three parts, at or after an index of the log. */
async function line(page, what, kind = "", data = "", from = 0) {
  const wanted = { what, kind, data, from };
  const handle = await page.waitForFunction((wanted) => {
    const log = [...document.querySelectorAll("#log > div")];
    const index = log.findIndex(
      (line, i) =>
        i >= wanted.from &&
        ["what", "kind", "data"].every((part) => line.querySelector(`.${part}`).textContent.includes(wanted[part])),
    );
    return index >= 0 && { index };
  }, wanted).catch(async (error) => {
    throw new Error(`no line ${JSON.stringify(wanted)} in ${JSON.stringify(await lines(page), null, 1)}`, { cause: error });
  });
  return (await handle.jsonValue()).index;
}

const status = (page, text) =>
  page.waitForFunction((text) => document.getElementById("status").textContent === text, text);

async function greeted(page) {
  await status(page, "connected");
  await line(page, "← received", "text, 8 bytes", "Welcome!");
}

async function disconnect(page, code = "1000", reason = "") {
  await page.fill("#code", code);
  await page.fill("#reason", reason);
  await page.click("#disconnect");
}

/** Sends the message with Enter; the echo's line is the same as the one sent. */
async function exchange(page, kind, message, expected, shown) {
  await page.check(`input[name=kind][value=${kind}]`);
  await page.fill("#text", message);
  const from = (await lines(page)).length;
  await page.press("#text", "Enter");
  const sent = await line(page, "→ sent", expected, shown, from);
  await line(page, "← received", expected, shown, sent);
}

// ---- scenarios ----

async function echo() {
  const page = await open(await browser.newContext());
  assert.equal(await page.title(), "WebSocket echo");
  await greeted(page);
  console.log("welcome");

  await exchange(page, "text", "Hello!", "text, 6 bytes", "Hello!");
  await exchange(page, "text", "", "text, 0 bytes", "");
  await exchange(page, "text", EMOJI, `text, ${Buffer.byteLength(EMOJI)} bytes`, EMOJI);
  await exchange(page, "text", "x".repeat(70_000), "text, 70,000 bytes", "xxx… (69,700 more)");
  console.log("echoed 4 texts");

  await exchange(page, "binary", "Hi", "binary, 2 bytes", "48 69");
  await exchange(page, "hex", "00 ff 7F", "binary, 3 bytes", "00 ff 7f");
  await exchange(page, "hex", "", "binary, 0 bytes", "");
  await page.fill("#size", String(1 << 20));
  await page.click("text=Send bytes");
  await line(page, "← received", "binary, 1,048,576 bytes", "00 07 0e 15");
  await page.setInputFiles("#file", { name: "a file.bin", mimeType: "application/octet-stream", buffer: Buffer.from("blob") });
  await page.click("text=Send file");
  await line(page, "→ sent", "binary, 4 bytes", "a file.bin");
  await line(page, "← received", "binary, 4 bytes", "62 6c 6f 62");
  console.log("echoed 5 binaries");

  await page.click("#round-trip");
  await line(page, "round trip", " ms");
  assert.match(await page.textContent("#round-trip-time"), /^\d+\.\d ms$/);
  console.log("round trip");

  await disconnect(page, "1000", "bye");
  await line(page, "closed 1000", "normal closure", "no reason"); // the server answers with the code alone
  await status(page, "closed 1000, normal closure");
  console.log("closed 1000");
}

/** Without the page's code: what the browser's own WebSocket gives back, byte by byte. */
async function raw() {
  const page = await open(await browser.newContext());
  await greeted(page);
  const results = await page.evaluate(async (emoji) => {
    const socket = new WebSocket(document.getElementById("address").value);
    const inbox = [];
    let arrived = () => {};
    socket.onmessage = (event) => (inbox.push(event.data), arrived());
    const next = async () => {
      while (inbox.length === 0) await new Promise((resolve) => (arrived = resolve));
      return inbox.shift();
    };
    if ((await next()) !== "Welcome!") return ["no welcome"];
    const results = [];
    const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 7) % 251);
    const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
    for (const binaryType of ["arraybuffer", "blob"]) {
      socket.binaryType = binaryType;
      for (const size of [0, 125, 126, 65535, 65536, bytes.length]) {
        const data = bytes.slice(0, size);
        for (const [name, message] of [["ArrayBuffer", data.buffer], ["view", data], ["Blob", new Blob([data])]]) {
          socket.send(message);
          const answer = await next();
          const type = answer instanceof Blob ? "blob" : "arraybuffer";
          const back = new Uint8Array(type === "blob" ? await answer.arrayBuffer() : answer);
          if (type !== binaryType || !same(back, data)) results.push(`${name} of ${size} came back as ${type} of ${back.length}`);
        }
      }
    }
    results.push("binaries");
    for (const text of ["", emoji, "x".repeat(1 << 20), "€".repeat(1 << 18)]) {
      socket.send(text);
      if ((await next()) !== text) results.push(`text of ${text.length} came back as another`);
    }
    results.push("texts");
    const closed = new Promise((resolve) => (socket.onclose = resolve));
    socket.close(4000, "enough");
    const { code, wasClean } = await closed;
    return [...results, `closed ${code} ${wasClean}`];
  }, EMOJI);
  results.forEach((result) => console.log(result));
}

/** Waits until the server closes. */
async function wait() {
  const page = await open(await browser.newContext());
  await greeted(page);
  console.log("welcome");
  const index = await line(page, "closed ");
  console.log((await lines(page))[index].slice(0, 2).join(" "));
  await status(page, "closed 1001, going away");
}

/** The codes and reasons a page can choose, and those it cannot. */
async function codes() {
  const page = await open(await browser.newContext());
  for (const [code, reason] of [["1000", "x".repeat(123)], ["3000", ""], ["4999", "Grüße 👋"]]) {
    await greeted(page);
    await disconnect(page, code, reason);
    await line(page, "closing", `with ${code}`, reason);
    const name = code === "1000" ? "normal closure" : "application's code";
    await line(page, `closed ${code}`, name);
    console.log(`closed ${code}`);
    await page.click("#clear");
    assert.deepEqual(await lines(page), []);
    await page.click("#connect");
  }

  await greeted(page);
  for (const [code, reason] of [["1001", ""], ["", ""], ["5000", ""], ["1e3", ""], ["1000", "ü".repeat(62)]]) {
    await disconnect(page, code, reason);
    assert.match(await page.textContent("#connection-problem"), /must be 1000 or from 3000|may have 123 bytes/);
  }
  await status(page, "connected");
  console.log("5 refused by the page");
}

/** The server's limit is the argument: a message of that size passes, one more byte is 1009. */
async function large() {
  const limit = Number(rest[0]);
  const page = await open(await browser.newContext());
  await greeted(page);
  await page.fill("#size", String(limit));
  await page.press("#size", "Enter");
  await line(page, "← received", `binary, ${limit.toLocaleString("en")} bytes`);
  console.log("echoed");
  await page.fill("#size", String(limit + 1));
  await page.press("#size", "Enter");
  await line(page, "closed 1009", "message too big");
  console.log("closed 1009");
}

/** The argument is the WebSocket of another server, which lets this page in or not. */
async function origin() {
  const page = await open(await browser.newContext());
  await greeted(page);
  await disconnect(page);
  await status(page, "closed 1000, normal closure");
  await page.click("#clear");
  await page.fill("#address", rest[0]);
  await page.press("#address", "Enter");
  const index = await line(page, "c", "", "", 1); // connected or closed
  console.log((await lines(page))[index][0]);
}

/** The server speaks echo.v1 and echo.v2. */
async function subprotocols() {
  const page = await open(await browser.newContext());
  await greeted(page);
  for (const asked of ["echo.v1", "echo.v2", "echo.v2, echo.v1", "unheard.of"]) {
    await disconnect(page);
    await page.waitForSelector("#status[data-state=closed]");
    await page.selectOption("#subprotocol", asked);
    await page.click("#clear");
    await page.click("#connect");
    const index = await line(page, "c", "", "", 1);
    const [what, , data] = (await lines(page))[index];
    console.log(`${asked}: ${what}${what === "connected" ? `, ${data}` : ""}`);
  }
}

async function reload() {
  const page = await open(await browser.newContext());
  for (let i = 0; i < 5; i++) {
    await greeted(page);
    await exchange(page, "text", `load ${i}`, "text, 6 bytes", `load ${i}`);
    await page.reload();
    await page.evaluate(() => (document.getElementById("settings").open = true));
  }
  await greeted(page);
  await disconnect(page);
  await line(page, "closed 1000");
  console.log("reloaded 5 times");
}

/** Ten tabs of one browser, all of them talking at once; each gets its own messages, in order. */
async function tabs() {
  const context = await browser.newContext();
  const pages = await Promise.all(Array.from({ length: 10 }, () => open(context)));
  await Promise.all(pages.map(greeted));
  await Promise.all(
    pages.map((page, tab) =>
      page.evaluate((tab) => {
        for (let i = 0; i < 50; i++) {
          document.getElementById("text").value = `tab ${tab}, message ${i}`;
          document.getElementById("message").requestSubmit();
        }
      }, tab),
    ),
  );
  for (const [tab, page] of pages.entries()) {
    await line(page, "← received", "", `tab ${tab}, message 49`);
    const received = (await lines(page)).filter(([what]) => what === "← received").map(([, , data]) => data);
    assert.deepEqual(received, ["Welcome!", ...Array.from({ length: 50 }, (_, i) => `tab ${tab}, message ${i}`)]);
  }
  await Promise.all(pages.map(async (page) => (await disconnect(page), await line(page, "closed 1000"))));
  console.log("10 tabs, 500 messages");
}

/** The server goes away and comes back on the same port; what a user has ended stays so. */
async function reconnect() {
  const page = await open(await browser.newContext());
  await greeted(page);
  await page.check("#reconnect");
  console.log("welcome");
  await line(page, "closed 1001");
  const waiting = await line(page, "waiting");
  const refused = await line(page, "closed 1006", "", "", waiting); // nobody is there
  console.log("closed 1001, then 1006");
  await line(page, "← received", "", "Welcome!", refused);
  await status(page, "connected");
  const delays = (await lines(page)).filter(([what]) => what === "waiting").map(([, kind]) => parseFloat(kind));
  assert(delays[1] > delays[0], `delays ${delays}`);
  console.log("welcome again");
  await disconnect(page);
  await line(page, "closed 1000");
  await page.waitForTimeout(1200);
  await status(page, "closed 1000, normal closure");
  console.log("closed 1000");
}

/** Messages are shown as text; the log is limited; everything can be done with the keyboard. */
async function behaviour() {
  const page = await open(await browser.newContext());
  await greeted(page);
  const evil = "<img src=x onerror='document.title=1'><b>bold</b>";
  await exchange(page, "text", evil, `text, ${evil.length} bytes`, evil);
  assert.equal(await page.$$eval("#log img, #log b", (all) => all.length), 0);
  assert.equal(await page.title(), "WebSocket echo");
  console.log("messages are text");

  await page.evaluate(() => {
    for (let i = 0; i < 600; i++) {
      document.getElementById("text").value = `message ${i}`;
      document.getElementById("message").requestSubmit();
    }
  });
  await line(page, "← received", "", "message 599");
  assert.equal((await lines(page)).length, 500);
  assert.equal(await page.textContent("#totals").then((text) => /sent 601 .* received 602 /.test(text)), true);
  await page.waitForFunction(() => {
    const log = document.getElementById("log");
    return log.scrollTop > 0 && log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  });
  console.log("the log is limited and follows");

  await page.focus("#text");
  await page.fill("#text", "");
  await page.keyboard.type("one");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await page.keyboard.press("Enter");
  await line(page, "← received", "text, 7 bytes", "one\ntwo");

  // Every control in order, each named and with a focus that can be seen.
  await page.evaluate(() => document.activeElement.blur());
  await page.focus("#connect");
  const seen = [];
  for (let i = 0; i < 30 && !seen.includes("log"); i++) {
    seen.push(
      await page.evaluate(() => {
        const element = document.activeElement;
        const named = element.labels?.length > 0 || element.textContent.trim() || element.getAttribute("aria-labelledby");
        const outline = getComputedStyle(element).outlineStyle;
        return element.matches(":focus-visible") && outline !== "none" && named
          ? element.id || element.textContent.trim() || element.value
          : `bad: ${element.outerHTML.slice(0, 80)}, outline ${outline}`;
      }),
    );
    await page.keyboard.press("Tab");
  }
  // Of the radio buttons Tab reaches the one that is chosen, "text".
  const order = ["connect", "disconnect", "Address, subprotocol, closing", "address", "subprotocol", "reconnect", "code", "reason",
    "text", "text", "send", "round-trip", "Large messages, files", "size", "Send bytes", "file", "Send file", "clear", "log"];
  assert.deepEqual(seen, order);
  await page.focus("#disconnect");
  await page.keyboard.press("Space");
  await line(page, "closed 1000");
  assert.equal(await page.evaluate(() => document.activeElement.id), "disconnect");
  await page.focus("#text");
  await page.keyboard.press("Enter");
  assert.equal(await page.textContent("#send-problem"), "Not connected.");
  console.log("keyboard");
}

/** Into the folder of the argument: desktop and phone, light and dark. Nothing is wider than the screen. */
async function screenshots() {
  const folder = rest[0];
  mkdirSync(folder, { recursive: true });
  const devices = {
    desktop: { viewport: { width: 1280, height: 800 } },
    phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  };
  for (const [device, options] of Object.entries(devices)) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ ...options, colorScheme });
      const page = await context.newPage();
      page.setDefaultTimeout(PATIENCE);
      await page.goto(url);
      await greeted(page);
      await page.screenshot({ path: join(folder, `${device}-${colorScheme}-start.png`) });
      const contrast = await page.$$eval("h1, h2, button, label span, legend, summary, p, #log span, #log time", worstContrast);
      assert(contrast.ratio >= 4.5, `contrast ${JSON.stringify(contrast)} in ${device}, ${colorScheme}`);

      await exchange(page, "text", "Hello!", "text, 6 bytes", "Hello!");
      await exchange(page, "text", LONG, `text, ${Buffer.byteLength(LONG)} bytes`, LONG);
      await exchange(page, "hex", "00 01 02 fe ff 48 69", "binary, 7 bytes", "00 01");
      await page.evaluate(() => document.getElementById("more").open = true);
      await page.fill("#size", "65536");
      await page.press("#size", "Enter");
      await line(page, "← received", "binary, 65,536 bytes");
      await page.click("#round-trip");
      await line(page, "round trip", " ms");
      await page.evaluate(() => document.getElementById("settings").open = true);
      await page.selectOption("#subprotocol", "unheard.of");
      await disconnect(page, "4000", "enough");
      await line(page, "closed 4000");
      await page.click("#connect");
      await line(page, "closed 1006");
      await page.selectOption("#subprotocol", "");
      await page.check("#reconnect");
      await page.click("#connect");
      await page.waitForFunction(() => document.getElementById("status").dataset.state === "open");
      await page.check("input[name=kind][value=text]");
      await page.fill("#text", "Hello again");
      await page.focus("#text");
      const welcome = (await lines(page)).findLastIndex(([what]) => what === "connected");
      await line(page, "← received", "", "Welcome!", welcome);
      await page.evaluate(() => scrollTo(0, 0));
      await page.waitForTimeout(200);
      const [width, screen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      assert(width <= screen, `${device} is ${width} wide on a screen of ${screen}`);
      if (device === "desktop") {
        // Wherever the columns change, the texts of the log have room.
        for (const wide of [800, 950, 959, 960, 1000, 1100, 1200]) {
          await page.setViewportSize({ width: wide, height: 800 });
          const room = await page.$eval("#log .data:not(:empty)", (text) => text.getBoundingClientRect().width);
          assert(room >= 250, `the log's text column is ${room} px wide on a page of ${wide}`);
        }
        await page.setViewportSize(options.viewport);
      }
      if (device === "phone") {
        // The whole page; playwright's own way (fullPage) loses the touch screen's layout.
        const height = await page.evaluate(() => document.documentElement.scrollHeight);
        await page.setViewportSize({ width, height });
      }
      await page.screenshot({ path: join(folder, `${device}-${colorScheme}.png`) });
      await context.close();
      console.log(`${device} ${colorScheme}`);
    }
  }
}

/** In the page: the least contrast of the elements' texts with what is behind them (WCAG 2, relative luminance). */
function worstContrast(elements) {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => ((c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  let worst = { ratio: 21 };
  for (const element of elements) {
    if (!element.textContent.trim() || element.closest("[aria-disabled=true]") || element.offsetParent === null) continue;
    let behind = element;
    while (behind && (parse(getComputedStyle(behind).backgroundColor)[3] ?? 1) === 0) behind = behind.parentElement;
    const a = luminance(parse(getComputedStyle(element).color)) + 0.05;
    const b = luminance(parse(getComputedStyle(behind ?? document.body).backgroundColor)) + 0.05;
    const ratio = Math.max(a, b) / Math.min(a, b);
    if (ratio < worst.ratio) worst = { ratio, text: element.textContent.slice(0, 40) };
  }
  return worst;
}

const scenarios = {
  echo, raw, wait, codes, large, origin, subprotocols, reload, tabs, reconnect, behaviour, screenshots,
};
try {
  assert(Object.hasOwn(scenarios, scenario) && url, `usage: node browser.mjs ${Object.keys(scenarios).join("|")} URL [ARGUMENT...]`);
  await scenarios[scenario]();
  assert.deepEqual(complaints, []);
} finally {
  await browser.close();
}
