// A real nginx in front of the program, with the configuration of docs/sign-in.md.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const NGINX = process.env.NGINX ?? "/usr/sbin/nginx";
const START_TIMEOUT = 10_000; // ms
const DOCS = new URL("../docs/sign-in.md", import.meta.url);

/** A port that is free now. */
export const freePort = () => new Promise((resolve, reject) => {
  const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  });
});

/** The configuration that the documentation shows, for these addresses, with another application at `/other/`. */
function documented(base, port, upstream, dir) {
  let text = /```nginx\n([^]*?)```/.exec(readFileSync(DOCS, "utf8"))?.[1] ?? "";
  for (const [from, to] of [
    ["listen 443 ssl;", `listen 127.0.0.1:${port} ssl;`],
    ["server_name ops.example.com;", "server_name localhost; location /other/ { return 200 'cookies:$http_cookie'; }"],
    ["/etc/nginx/tls.crt", join(dir, "tls.crt")],
    ["/etc/nginx/tls.key", join(dir, "tls.key")],
    ["location /vms/ {", `location ${base}/ {`],
    ["proxy_pass http://127.0.0.1:8081;", `proxy_pass ${upstream};`],
  ]) {
    if (text.split(from).length !== 2) throw new Error(`docs/sign-in.md has no single ${from}`);
    text = text.replace(from, () => to);
  }
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${join(dir, name)};`).join("\n");
  return `daemon off;
pid ${join(dir, "nginx.pid")};
error_log stderr;
${process.getuid?.() === 0 ? "user root;" : ""}
events {}
http {
access_log off;
default_type text/plain;
${temporary}
${text}
}`;
}

/**
 * Starts nginx on `https://localhost:PORT`, whose `BASE/` leads to `upstream`.
 * @returns {Promise<{stop: () => Promise<void>}>}
 */
export async function startNginx({ base, port, upstream }) {
  const dir = mkdtempSync(join(tmpdir(), "wukong-nginx-"));
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
    "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", join(dir, "tls.key"), "-out", join(dir, "tls.crt")],
    { stdio: "pipe" });
  const file = join(dir, "nginx.conf");
  writeFileSync(file, documented(base, port, upstream, dir));
  const child = spawn(NGINX, ["-c", file, "-p", dir, "-e", "stderr"], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "", over = false;
  child.stderr.on("data", (data) => { log = (log + data).slice(-20_000); });
  const ended = new Promise((resolve) => child.once("exit", resolve).once("error", resolve));
  ended.then((why) => { over = true; log += `ended: ${why}`; });
  const answers = () => fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false); // plain HTTP gets 400
  for (const deadline = Date.now() + START_TIMEOUT; !await answers();) {
    if (over || Date.now() > deadline) throw new Error(`nginx does not answer: ${log}`);
    await new Promise((done) => setTimeout(done, 50));
  }
  return {
    stop: async () => {
      child.kill("SIGTERM");
      await ended;
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
