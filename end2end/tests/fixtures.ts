// Shared by all specs: a demo server for each worker, and a guard that fails a test when its page reports an error.
import AxeBuilder from "@axe-core/playwright";
import { test as base, expect, type Page } from "@playwright/test";
import { startProgram } from "../program.mjs";

export { expect };
export const PROGRAM = process.env.WUKONG_PROGRAM ?? "wukong-dashboard";
export const PAGES = ["/", "/sources"]; // tests add the page of a VM, whose name they ask the API for

export type Server = { url: string };
type Figure = { missing?: { reason: string; detail: string } };
export type Vm = {
  name: string; namespace: string; status: string; nodeName: string; memory: string;
  metrics: null | { cpuUsage: number; memoryUsage: number; diskUsage: number };
  usage: { cpu: Figure; memory: Figure; disk: Figure; diskKnown: number; diskVolumes: number };
};

export const test = base.extend<{ faults: string[]; allowFaults: boolean; guard: void }, { demo: Server }>({
  // 120 VMs give three pages of cards and every state of the simulated cluster.
  demo: [async ({}, use) => {
    if (process.env.BASE_URL) return await use({ url: process.env.BASE_URL.replace(/\/$/, "") });
    const server = await startProgram(PROGRAM, ["demo", "--vms", "120", "--nodes", "8", "--seed", "1"]);
    await settled(server);
    await use(server);
    await server.stop();
  }, { scope: "worker", timeout: 90_000 }],

  baseURL: async ({ demo }, use) => use(demo.url),

  // Turns the guard off, for specs that break things on purpose.
  allowFaults: [false, { option: true }],

  faults: async ({ baseURL }, use) => use([]),

  // No message on the console, no uncaught error, no refused script or style, no request to another site.
  guard: [async ({ page, allowFaults, faults, javaScriptEnabled }, use) => {
    const origin = (url: string) => new URL(url).origin;
    page.on("console", (message) => {
      // The console also reports pages with status 404; the handler of responses below reports the other failures.
      if (message.text().startsWith("Failed to load resource")) return;
      // Without JavaScript, preloaded files are not used.
      if (!javaScriptEnabled && message.text().includes("preloaded using link preload")) return;
      if (["error", "warning", "assert"].includes(message.type())) faults.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => faults.push(`uncaught: ${error.message}`));
    page.on("request", (request) => {
      const url = request.url();
      if (/^https?:/.test(url) && page.url().startsWith("http") && origin(url) !== origin(page.url())) faults.push(`third party: ${url}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400 && !response.request().isNavigationRequest()) faults.push(`${response.status()}: ${response.url()}`);
    });
    await use();
    if (!allowFaults) expect(faults, "errors and requests that the guard reports").toEqual([]);
  }, { auto: true }],
});

export async function json<T>(server: Server, path: string): Promise<T> {
  const response = await fetch(server.url + path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return await response.json() as T;
}

export const vms = (server: Server) => json<Vm[]>(server, "/api/vms");
export const address = (vm: Vm) => `/vms/${vm.namespace}/${vm.name}`;

/** Waits for the first round of figures: until no running VM waits for its CPU or disk figure. */
export async function settled(server: Server) {
  await expect.poll(async () => {
    const running = (await vms(server)).filter((vm) => vm.status === "Running");
    const waiting = running.filter((vm) => [vm.usage.disk, vm.usage.cpu].some((figure) => figure.missing?.reason === "starting"));
    return running.length > 0 && waiting.length === 0;
    // 10,000 VMs are 34 MB: a busy machine takes seconds for each look.
  }, { timeout: 240_000, intervals: [500, 1_000, 5_000], message: "the first cycle of figures" }).toBe(true);
}

/** The state in the top bar, such as `live`. */
export const freshness = (page: Page) => page.getByRole("banner").getByRole("status");

/** Opens a page and waits until it is hydrated: only then is it live. */
export async function open(page: Page, path: string) {
  await page.goto(path);
  await hydrated(page);
}

export const hydrated = (page: Page) => expect(freshness(page)).toHaveText(/^live$/i);

export const scripted = (page: Page) => page.evaluate(() => document.documentElement.classList.contains("scripted"));

/** Waits until what is chosen in a form takes effect by itself, in a browser with scripts. */
export async function interactive(page: Page) {
  if (await scripted(page)) await hydrated(page);
}

/** Sends the list's form, which a script sends by itself. */
export async function apply(page: Page) {
  if (!await scripted(page)) await page.locator("form.filters").getByRole("button", { name: "Apply" }).click();
}

/** The notices above the list. */
export const notices = (page: Page) => page.getByRole("complementary", { name: "Sources with problems" });

export const cards = (page: Page) => page.getByRole("main").getByRole("article");
export const card = (page: Page, vm: Vm) =>
  cards(page).filter({ has: page.locator(`a[href="${address(vm)}"]`) });

const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

/** The violations that axe finds, one line each. */
export async function violations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(RULES).analyze();
  return violations.map((v) => `${v.id}: ${v.help}; ${v.nodes.slice(0, 3).map((node) => node.target).join(" | ")}`);
}

/** How many pixels the page is wider than the window. */
export const horizontalOverflow = (page: Page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
