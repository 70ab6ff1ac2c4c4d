// Starts the program under test on a port of its own, and the browser that looks at it.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";

const CHROMIUM = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => path && existsSync(path));
const START_TIMEOUT = 30_000; // ms

/** The system's Chromium: none is downloaded. Nothing of it calls home while tests count its requests. */
export const browserOptions = {
  executablePath: CHROMIUM,
  args: [
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
    // Chromium's sandbox refuses to run as root, which is what containers are.
    ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
  ],
};

/**
 * Runs PROGRAM with `--listen 127.0.0.1:PORT` (0: any free one) and waits for the address on its first line.
 * @returns {Promise<{url: string, port: number, pid: number, kill: (signal?: string) => void, stop: () => Promise<void>}>}
 */
export async function startProgram(program, args, { port = 0, env = {} } = {}) {
  const child = spawn(program, [...args, "--listen", `127.0.0.1:${port}`], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...env },
  });
  let log = "";
  child.stderr.on("data", (data) => { log = (log + data).slice(-20_000); });
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    const give = (why) => reject(new Error(`${program} ${args.join(" ")}: ${why}\n${log}`));
    const timer = setTimeout(() => give("no address on standard output in time"), START_TIMEOUT);
    child.once("error", (error) => give(error.message));
    child.once("exit", (code) => give(`ended with ${code}`));
    createInterface({ input: child.stdout }).on("line", (line) => {
      const match = /^listening on (http:\/\/\S+)/.exec(line);
      if (match) resolve(match[1].replace(/\/$/, ""), clearTimeout(timer));
    });
  });
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid,
    log: () => log,
    kill: (signal = "SIGKILL") => child.kill(signal),
    stop: async () => { child.kill("SIGTERM"); await ended; },
  };
}

/** Opens a page and waits until WebAssembly has taken it over. (An open event stream keeps the network from being idle.) */
export async function openAlive(page, address) {
  await page.goto(address, { waitUntil: "load" });
  await page.waitForSelector(".live:not(.snapshot)", { state: "attached" });
  await page.waitForTimeout(500); // what was asked for last is there too
}
