// node screenshots.mjs PROGRAM DIRECTORY: PAGE-STATE-LANGUAGE-SCHEME-WIDTH.png for every combination of the lists below.
// `healthy` is the demo, with what it has of troubles; `broken` is the same program whose cluster has gone away.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { browserOptions, openAlive, startProgram } from "./program.mjs";

const [program, out] = process.argv.slice(2);
const WIDTHS = [390, 1440, 2560];
const SCHEMES = ["light", "dark"];
const LANGUAGES = ["en", "zh-CN"];
const SIZE = ["--vms", "120", "--nodes", "8"];
const HISTORY = 8_000; // ms until the first cycles have gone by
const STALE = 20_000; // ms until a lost cluster shows

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function brokenServer() {
  const kubeconfig = join(mkdtempSync(join(tmpdir(), "wukong-")), "kubeconfig");
  const sim = await startProgram(program, ["sim", ...SIZE, "--kubeconfig-out", kubeconfig]);
  const server = await startProgram(program, ["--kubeconfig", kubeconfig, "--metrics-interval", "2s", "--disk-interval", "2s"]);
  await sleep(HISTORY);
  await sim.stop();
  await sleep(STALE);
  return server;
}

async function healthyServer() {
  const server = await startProgram(program, ["demo", ...SIZE]);
  await sleep(HISTORY);
  return server;
}

async function pagesOf(url) {
  const vms = await (await fetch(`${url}/api/vms`)).json();
  const vm = vms.find((vm) => vm.status === "Running" && vm.volumes.length > 1) ?? vms[0];
  return { home: "/", table: "/?view=table", map: "/?view=map", groups: "/groups?by=node", vm: `/vms/${vm.namespace}/${vm.name}`, node: `/nodes/${vm.nodeName}`, insights: "/insights", sources: "/sources" };
}

async function picture(browser, url, path, locale, scheme, width, file) {
  const page = await browser.newPage({ locale, colorScheme: scheme, viewport: { width, height: Math.round(width * (width < 800 ? 2 : 0.62)) } });
  await openAlive(page, url + path);
  await page.screenshot({ path: file });
  await page.close();
}

const browser = await chromium.launch(browserOptions);
for (const [state, start] of Object.entries({ healthy: healthyServer, broken: brokenServer })) {
  const server = await start();
  for (const [name, path] of Object.entries(await pagesOf(server.url))) {
    for (const language of LANGUAGES) {
      for (const scheme of SCHEMES) {
        for (const width of WIDTHS) {
          const file = join(out, `${name}-${state}-${language}-${scheme}-${width}.png`);
          await picture(browser, server.url, path, language, scheme, width, file);
          console.error(file);
        }
      }
    }
  }
  await server.stop();
}
await browser.close();
