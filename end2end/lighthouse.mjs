// node lighthouse.mjs PROGRAM: Lighthouse on the release program's demo, on the home page and on one VM's page. Prints
// each category's score, the median of RUNS, and what cost points; fails below LIMIT.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import lighthouse, { desktopConfig } from "lighthouse";
import { browserOptions, startProgram } from "./program.mjs";

const LIMIT = 95;
const CATEGORIES = ["performance", "accessibility", "best-practices"];
const RUNS = 3; // the middle one counts: a machine that does something else for a moment is no slow page
const SETTLED = 5_000; // ms until the demo's first cycles have gone by
const PORT = 9222 + (process.pid % 10_000);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function pagesOf(url) {
  const vms = await (await fetch(`${url}/api/vms`)).json();
  const vm = vms.find((vm) => vm.status === "Running" && vm.metrics) ?? vms[0];
  return ["/", `/vms/${vm.namespace}/${vm.name}`];
}

/** One run's scores, and the audits that cost some. */
async function run(address) {
  const { lhr } = await lighthouse(address, { port: PORT, output: "json", logLevel: "error", onlyCategories: CATEGORIES }, desktopConfig);
  if (lhr.runtimeError) throw new Error(`${address}: ${lhr.runtimeError.message}`);
  const weighty = (id) => lhr.categories[id].auditRefs.filter(({ weight }) => weight > 0).map((ref) => lhr.audits[ref.id]);
  const costly = CATEGORIES.flatMap(weighty).filter((audit) => audit.score !== null && audit.score < 0.9);
  return {
    scores: CATEGORIES.map((id) => Math.round(lhr.categories[id].score * 100)),
    costly: costly.map((audit) => `${audit.id} ${audit.score} ${audit.displayValue ?? ""}`),
  };
}

const server = await startProgram(process.argv[2], ["demo", "--vms", "120", "--nodes", "8"]);
const profile = mkdtempSync(join(tmpdir(), "wukong-lighthouse-"));
const browser = await chromium.launchPersistentContext(profile, {
  ...browserOptions, args: [...browserOptions.args, `--remote-debugging-port=${PORT}`],
});
try {
  await sleep(SETTLED);
  console.log("page".padEnd(40), CATEGORIES.join("  "));
  for (const path of await pagesOf(server.url)) {
    const runs = [];
    for (let i = 0; i < RUNS; i++) runs.push(await run(server.url + path));
    const scores = CATEGORIES.map((_, index) => median(runs.map((run) => run.scores[index])));
    console.log(path.padEnd(40), CATEGORIES.map((id, index) => String(scores[index]).padStart(id.length)).join("  "));
    for (const text of new Set(runs.flatMap((run) => run.costly))) console.log(`  ${text}`);
    if (scores.some((score) => score < LIMIT)) {
      console.error(`error: ${path} has a score below ${LIMIT}`);
      process.exitCode = 1;
    }
  }
} finally {
  await browser.close();
  await server.stop();
  rmSync(profile, { recursive: true, force: true });
}
