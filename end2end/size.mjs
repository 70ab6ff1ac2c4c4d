// node size.mjs PROGRAM: opens the demo's home page in a browser with an empty cache and adds up JavaScript, WebAssembly,
// CSS and words as they came over the wire. Fails above LIMIT, or when a file came uncompressed.
import { chromium } from "@playwright/test";
import { browserOptions, openAlive, startProgram } from "./program.mjs";

const LIMIT = 200_000; // bytes; 1 kB = 1000 bytes
// By name: Chromium calls a preloaded file "other", whatever it is.
const COUNTED = /\.(js|wasm|css|txt)$/;

const server = await startProgram(process.argv[2], ["demo", "--vms", "200", "--nodes", "8"]);
const browser = await chromium.launch(browserOptions);
const page = await browser.newPage();
const files = [];
page.on("requestfinished", async (request) => {
  const { pathname } = new URL(request.url());
  if (!pathname.startsWith("/pkg/") || !COUNTED.test(pathname)) return;
  files.push(
    Promise.all([request.response(), request.sizes()]).then(([response, sizes]) => ({
      name: pathname.split("/").pop(),
      encoding: response.headers()["content-encoding"] ?? "none",
      bytes: sizes.responseBodySize,
    })),
  );
});
await openAlive(page, server.url);
const rows = await Promise.all(files);
await browser.close();
await server.stop();

const total = rows.reduce((sum, row) => sum + row.bytes, 0);
const line = (name, encoding, bytes) => console.log(`${name.padEnd(60)} ${encoding.padEnd(8)} ${String(bytes).padStart(8)}`);
line("first load of /", "encoding", "bytes");
for (const row of rows.sort((a, b) => b.bytes - a.bytes)) line(row.name, row.encoding, row.bytes);
line("total", "", total);
console.log(`${(total / 1000).toFixed(1)} kB of at most ${LIMIT / 1000} kB`);

const kinds = ["js", "wasm", "css", "txt"].filter((kind) => !rows.some((row) => row.name.endsWith(`.${kind}`)));
if (kinds.length > 0) fail(`the page did not load any ${kinds.join(", ")}: there is nothing to measure`);
if (rows.some((row) => row.encoding !== "br")) fail("a file came without brotli");
if (total > LIMIT) fail("the first load is too large");

function fail(message) {
  console.error(`error: ${message}`);
  process.exitCode = 1;
}
