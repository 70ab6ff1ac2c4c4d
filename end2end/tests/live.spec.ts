// Updates: one event stream while the page is visible, and polling if there is no stream.
import type { Page, Request } from "@playwright/test";
import { startProgram } from "../program.mjs";
import { address, cards, expect, freshness, hydrated, PROGRAM, settled, test, vms } from "./fixtures";

const FAST = ["--metrics-interval", "2s", "--disk-interval", "2s"];

/** A server for each test, whose figures change every two seconds. */
const fast = test.extend<{ server: Awaited<ReturnType<typeof startProgram>> }>({
  server: async ({}, use) => {
    const server = await startProgram(PROGRAM, ["demo", ...FAST]);
    await settled(server);
    await use(server);
    await server.stop();
  },
});

/** Counts open streams and polls. */
function watch(page: Page) {
  const seen = { open: new Set<Request>(), opened: [] as string[], polls: 0 };
  page.on("request", (request) => {
    if (request.url().includes("/api/events")) {
      seen.open.add(request);
      seen.opened.push(request.url());
    }
    // The history and the timeline of a VM have no stream.
    if (/\/fn\/(?!history|timeline)/.test(request.url())) seen.polls += 1;
  });
  for (const end of ["requestfinished", "requestfailed"] as const) page.on(end as "requestfailed", (request) => seen.open.delete(request));
  return seen;
}

const figures = (page: Page) =>
  cards(page).getByRole("meter").evaluateAll((meters) => meters.map((meter) => meter.getAttribute("aria-valuetext")).join());

fast("changes arrive by one stream without polling, and cards keep their elements", async ({ page, server }) => {
  const seen = watch(page);
  await page.goto(server.url);
  await hydrated(page);
  await expect.poll(() => seen.open.size).toBe(1);
  await cards(page).evaluateAll((nodes) => nodes.forEach((node) => ((node as unknown as Record<string, boolean>).kept = true)));
  const before = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000 }).not.toBe(before);
  const kept = await cards(page).evaluateAll((nodes) => nodes.filter((node) => (node as unknown as Record<string, boolean>).kept).length);
  expect(kept).toBe(50);
  expect(seen.polls).toBe(0);
  expect(seen.opened).toHaveLength(1);
});

fast("a change replaces no element of a card", async ({ page, server }) => {
  await page.goto(server.url);
  await hydrated(page);
  await page.waitForTimeout(3_000); // the first whole state has been applied
  // In a card with all figures, only texts and attributes change: no node is added or removed.
  const moved = await page.evaluate(async () => {
    let moved = 0, changed = 0;
    const observer = new MutationObserver((records) => {
      for (const record of records) {
        if (record.type === "childList") moved += [...record.addedNodes, ...record.removedNodes].filter((node) => node instanceof Element && node.matches(".meter, .bar, header, article")).length;
        else changed += 1;
      }
    });
    observer.observe(document.querySelector(".cards")!, { subtree: true, childList: true, characterData: true, attributes: true });
    await new Promise((done) => setTimeout(done, 6_000));
    observer.disconnect();
    return { moved, changed };
  });
  expect(moved.moved).toBe(0);
  expect(moved.changed).toBeGreaterThan(0);
});

fast("a hidden tab closes its stream and continues it when shown", async ({ page, server }) => {
  const seen = watch(page);
  await page.goto(server.url);
  await hydrated(page);
  await expect.poll(() => seen.open.size).toBe(1);
  const first = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000 }).not.toBe(first); // an event has arrived
  await show(page, false);
  await expect.poll(() => seen.open.size).toBe(0);
  await page.waitForTimeout(3_000);
  expect(seen.opened).toHaveLength(1);
  await show(page, true);
  await expect.poll(() => seen.open.size, { timeout: 2_000 }).toBe(1);
  expect(seen.opened.at(-1)).toMatch(/last=[0-9a-f]{8}-\d+/);
  const before = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000 }).not.toBe(before);
  expect(seen.polls).toBe(0);
});

fast("each view has its own stream, and the previous one is closed", async ({ page, server }) => {
  const seen = watch(page);
  const vm = (await vms(server)).find((vm) => vm.metrics)!;
  await page.goto(server.url);
  await hydrated(page);
  const onlyStream = (part: string) => expect.poll(() => [...seen.open].map((request) => request.url())).toEqual([expect.stringContaining(part)]);
  await onlyStream("format=postcard");
  await page.goto(`${server.url}/?q=${vm.name}`);
  await hydrated(page);
  await page.locator(`a[href="${address(vm)}"]`).first().click();
  await expect(page.getByRole("navigation", { name: "Breadcrumb" })).toBeVisible();
  await onlyStream(`vm=${vm.namespace}/${vm.name}`);
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Sources" }).click();
  await expect(page.getByRole("table", { name: "Sources" })).toBeVisible();
  await onlyStream("only=sources");
  for (const _ of [1, 2]) await page.goBack();
  await expect(cards(page).first()).toBeVisible();
  await onlyStream(`q=${vm.name}`);
  expect(seen.polls).toBe(0);
});

fast.describe(() => {
  fast.use({ allowFaults: true });

  fast("a page reloads when the server is of another build", async ({ page, server }) => {
    await page.goto(server.url);
    await hydrated(page);
    await page.evaluate(() => Object.assign(window, { old: true }));
    // The answer of a server of another build.
    await page.route(/\/at\/[0-9a-f]{16}\/en\//, (route) => route.fulfill({ status: 409, body: "\u0002" }));
    const reloaded = page.waitForEvent("load", { timeout: 20_000 });
    const start = Date.now();
    await show(page, false);
    await show(page, true);
    await reloaded;
    expect(Date.now() - start, "the reload waits, so that two builds behind one Service cause no loop").toBeGreaterThan(1_900);
    await page.unroute(/\/at\/[0-9a-f]{16}\/en\//);
    await hydrated(page);
    expect(await page.evaluate(() => "old" in window)).toBe(false);
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
  });

  fast("the stream continues after a restart of the server", async ({ page }) => {
    const seen = watch(page);
    const first = await startProgram(PROGRAM, ["demo", ...FAST]);
    await settled(first);
    await page.goto(first.url);
    await hydrated(page);
    await expect.poll(() => seen.open.size).toBe(1);
    first.kill();
    await expect(freshness(page)).toHaveText(/reconnecting/i, { timeout: 10_000 });
    const age = page.getByRole("banner").locator(".live span").last();
    const before = await age.textContent();
    await expect.poll(() => age.textContent(), { message: "ages continue to grow" }).not.toBe(before);
    const second = await startProgram(PROGRAM, ["demo", ...FAST], { port: first.port });
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
    await expect.poll(() => seen.open.size, { timeout: 15_000 }).toBe(1);
    await second.stop();
  });

  for (const [how, answer] of [
    ["refused", { status: 503, body: "" }],
    ["held back", null],
  ] as const) {
    fast(`the page polls when streams are ${how}`, async ({ page, server }) => {
      await page.route(/\/api\/events/, (route) => answer && route.fulfill(answer));
      const seen = watch(page);
      await page.goto(server.url);
      await expect.poll(() => seen.polls, { timeout: 20_000 }).toBeGreaterThan(1);
      await expect(freshness(page)).toHaveText(/^live$/i);
      const before = await figures(page);
      await expect.poll(() => figures(page), { timeout: 30_000 }).not.toBe(before);
      await page.unroute(/\/api\/events/);
    });
  }
});

/** Simulates that the tab is hidden or shown. */
async function show(page: Page, visible: boolean) {
  await page.evaluate((visible) => {
    Object.defineProperty(document, "hidden", { value: !visible, configurable: true });
    Object.defineProperty(document, "visibilityState", { value: visible ? "visible" : "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, visible);
}
