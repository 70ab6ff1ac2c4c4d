// Hydration keeps the nodes that the server rendered, without a message on the console.
import { address, cards, expect, hydrated, open, test, vms } from "./fixtures";

const MARK = "marked";
const mark = (nodes: Element[], key: string) => nodes.forEach((node) => ((node as unknown as Record<string, boolean>)[key] = true));
const marked = (nodes: Element[], key: string) => nodes.filter((node) => (node as unknown as Record<string, boolean>)[key]).length;

test("hydration keeps the server's nodes on every page", async ({ page, demo }) => {
  const vm = (await vms(demo)).find((vm) => vm.metrics)!;
  for (const path of ["/", "/?page=2&sort=memory", address(vm), `${address(vm)}?span=24h`, "/insights", "/sources"]) {
    // Holds the script back until the server's nodes are marked.
    let release = () => {};
    const held = new Promise<void>((resolve) => { release = resolve; });
    await page.route(/\/pkg\/.*\.wasm/, async (route) => { await held; await route.continue(); });
    // Without events, since a change such as a migration would add nodes.
    await page.route(/\/api\/events/, () => {});
    await page.goto(path, { waitUntil: "commit" });
    await page.waitForLoadState("domcontentloaded");
    const nodes = page.locator("header, main, main *");
    await nodes.evaluateAll(mark, MARK);
    const before = await nodes.count();
    release();
    await hydrated(page);
    expect(await nodes.evaluateAll(marked, MARK), path).toBe(before);
    await page.unroute(/\/pkg\/.*\.wasm/);
  }
});

test("links and the form change the page without a page load", async ({ page }) => {
  await open(page, "/");
  await page.evaluate((key) => Object.assign(window, { [key]: true }), MARK);
  const pager = page.getByRole("navigation", { name: "Result pages" });
  await pager.getByRole("link", { name: "Next" }).click();
  await expect(pager).toContainText("51–100");
  const form = page.locator("form.filters");
  await form.getByRole("combobox", { name: "Sort" }).selectOption({ label: "Memory %" });
  await expect(page).toHaveURL(/sort=memory/i);
  await cards(page).first().getByRole("heading").getByRole("link").click();
  await expect(page.getByRole("navigation", { name: "Breadcrumb" })).toBeVisible();
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Sources" }).click();
  await expect(page.getByRole("table", { name: "Sources" })).toBeVisible();
  for (const _ of [1, 2]) await page.goBack();
  await expect(page).toHaveURL(/sort=memory/i);
  await expect(cards(page)).toHaveCount(50);
  expect(await page.evaluate((key) => key in window, MARK)).toBe(true);
});

test("the code of other pages is fetched on demand", async ({ page, demo }) => {
  const wasm: string[] = [];
  page.on("request", (request) => { if (request.url().endsWith(".wasm")) wasm.push(request.url()); });
  await open(page, "/");
  expect(wasm).toHaveLength(1);
  await cards(page).first().getByRole("heading").getByRole("link").click();
  await expect(page.getByRole("navigation", { name: "Breadcrumb" })).toBeVisible();
  expect(wasm.length).toBeGreaterThan(1);
  await hydrated(page);
});

test("a page with an invalid query is hydrated", async ({ page, faults }) => {
  await page.goto("/?page=x");
  await page.getByRole("banner").getByRole("link", { name: /home/ }).click();
  await expect(cards(page)).toHaveCount(50);
  await hydrated(page);
});

test("assets are compressed and cached without expiry", async ({ page }) => {
  const files: Record<string, string>[] = [];
  page.on("response", (response) => { if (response.url().includes("/pkg/")) files.push(response.headers()); });
  await open(page, "/");
  expect(files.length).toBeGreaterThan(2);
  for (const headers of files) {
    expect(headers["cache-control"]).toContain("immutable");
    if (!/png|icon/.test(headers["content-type"])) expect(headers["content-encoding"]).toBe("br");
  }
});
