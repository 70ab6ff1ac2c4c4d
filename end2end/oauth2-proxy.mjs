// A real oauth2-proxy in front of the program, with the configuration of docs/sign-in.md.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const START_TIMEOUT = 10_000; // ms
const DOCS = new URL("../docs/sign-in.md", import.meta.url);

/** The configuration that the documentation shows, for these addresses and files. */
function documented({ home, issuer, upstream, dir }) {
  let text = /```toml\n([^]*?)```/.exec(readFileSync(DOCS, "utf8"))?.[1] ?? "";
  for (const [from, to] of [
    ["0.0.0.0:4180", new URL(home).host],
    ["https://vms.example.com/oauth2/callback", `${home}/oauth2/callback`],
    ["https://sso.example.com/realms/staff", issuer],
    ["/etc/oauth2-proxy/client-secret", join(dir, "client-secret")],
    ["/etc/oauth2-proxy/cookie-secret", join(dir, "cookie-secret")],
    ["http://wukong-dashboard.wukong-dashboard.svc:8081", upstream],
    ["cookie_secure = true", "cookie_secure = false"],
  ]) {
    if (text.split(from).length !== 2) throw new Error(`docs/sign-in.md has no single ${from}`);
    text = text.replace(from, () => to);
  }
  return text;
}

/**
 * Starts PROGRAM at `home`, which signs people in at `issuer` and leads to `upstream`.
 * @returns {Promise<{stop: () => Promise<void>}>}
 */
export async function startOauth2Proxy(program, { home, issuer, upstream }) {
  const dir = mkdtempSync(join(tmpdir(), "wukong-oauth2-proxy-"));
  writeFileSync(join(dir, "client-secret"), "a secret of the tests");
  writeFileSync(join(dir, "cookie-secret"), "32 bytes of these tests, no more");
  const file = join(dir, "oauth2-proxy.cfg");
  writeFileSync(file, documented({ home, issuer, upstream, dir }));
  const child = spawn(program, ["--config", file], { stdio: ["ignore", "pipe", "pipe"] });
  let log = "", over = false;
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => { log = (log + data).slice(-20_000); });
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  ended.then((why) => { over = true; log += `ended: ${why}`; });
  const answers = () => fetch(`${home}/ping`).then(({ ok }) => ok, () => false);
  for (const deadline = Date.now() + START_TIMEOUT; !await answers();) {
    if (over || Date.now() > deadline) throw new Error(`oauth2-proxy does not answer: ${log}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    log: () => log,
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
