// What the scenarios of site.mjs use in the page.

/** A WebSocket with a queue of what it has received. */
async function connect(url) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  const inbox = [];
  let arrived = () => {};
  socket.onmessage = (event) => (inbox.push(event.data), arrived());
  const closed = new Promise((resolve) => (socket.onclose = ({ code, reason, wasClean }) => resolve({ code, reason, wasClean })));
  const next = async () => {
    while (inbox.length === 0) await new Promise((resolve) => (arrived = resolve));
    return inbox.shift();
  };
  const open = await Promise.race([new Promise((resolve) => (socket.onopen = () => resolve(true))), closed.then(() => false)]);
  return { socket, next, closed, open };
}

const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** Sends all of it and wants the same back; what did not come back is returned. */
async function echo({ socket, next }) {
  const bytes = Uint8Array.from({ length: 1 << 20 }, (_, i) => (i * 7) % 251);
  const problems = [];
  for (const text of ["Hello!", "", "Grüße, 世界, 👩‍👩‍👧 \u{1f600}", "€".repeat(1 << 18)]) {
    socket.send(text);
    if ((await next()) !== text) problems.push(`text of ${text.length}`);
  }
  for (const size of [0, 125, 126, 65535, 65536, bytes.length]) {
    socket.send(bytes.slice(0, size));
    const back = await next();
    if (!(back instanceof ArrayBuffer) || !same(new Uint8Array(back), bytes.slice(0, size))) problems.push(`binary of ${size}`);
  }
  return problems;
}
