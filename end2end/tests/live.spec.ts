// What keeps a page fresh: one stream of changes for as long as somebody looks, and questions where there is none.
import type { Page, Request } from "@playwright/test";
import { startProgram } from "../program.mjs";
import { address, cards, expect, freshness, hydrated, PROGRAM, settled, test, vms } from "./fixtures";

const FAST = ["--metrics-interval", "2s", "--disk-interval", "2s"];

/** A server of its own for each test, whose figures change every two seconds. */
const fast = test.extend<{ server: Awaited<ReturnType<typeof startProgram>> }>({
  server: async ({}, use) => {
    const server = await startProgram(PROGRAM, ["demo", ...FAST]);
    await settled(server);
    await use(server);
    await server.stop();
  },
});

/** The streams that are open, and the questions that were asked. */
function watch(page: Page) {
  const seen = { open: new Set<Request>(), opened: [] as string[], questions: 0 };
  page.on("request", (request) => {
    if (request.url().includes("/api/events")) {
      seen.open.add(request);
      seen.opened.push(request.url());
    }
    // A VM's past has no stream.
    if (/\/fn\/(?!history)/.test(request.url())) seen.questions += 1;
  });
  for (const end of ["requestfinished", "requestfailed"] as const) page.on(end as "requestfailed", (request) => seen.open.delete(request));
  return seen;
}

const figures = (page: Page) =>
  cards(page).getByRole("meter").evaluateAll((meters) => meters.map((meter) => meter.getAttribute("aria-valuetext")).join());

fast("changes come by one stream, nothing is asked, and cards stay what they are", async ({ page, server }) => {
  const seen = watch(page);
  await page.goto(server.url);
  await hydrated(page);
  await expect.poll(() => seen.open.size).toBe(1);
  await cards(page).evaluateAll((nodes) => nodes.forEach((node) => ((node as unknown as Record<string, boolean>).kept = true)));
  const before = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000 }).not.toBe(before);
  const kept = await cards(page).evaluateAll((nodes) => nodes.filter((node) => (node as unknown as Record<string, boolean>).kept).length);
  expect(kept).toBe(50);
  expect(seen.questions).toBe(0);
  expect(seen.opened).toHaveLength(1);
});

fast("a change reaches the text and the bars that differ, and no other card", async ({ page, server }) => {
  await page.goto(server.url);
  await hydrated(page);
  await page.waitForTimeout(3_000); // the first whole state has been taken in
  // Nothing is put in or taken out under a card that has all its figures: words and attributes change in place.
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

fast("a hidden tab closes its stream; seen again, it goes on where it was", async ({ page, server }) => {
  const seen = watch(page);
  await page.goto(server.url);
  await hydrated(page);
  await expect.poll(() => seen.open.size).toBe(1);
  const first = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000 }).not.toBe(first); // an event has come
  await show(page, false);
  await expect.poll(() => seen.open.size).toBe(0);
  await page.waitForTimeout(3_000);
  expect(seen.opened).toHaveLength(1);
  await show(page, true);
  await expect.poll(() => seen.open.size, { timeout: 2_000 }).toBe(1);
  expect(seen.opened.at(-1)).toMatch(/last=[0-9a-f]{8}-\d+/);
  const before = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000 }).not.toBe(before);
  expect(seen.questions).toBe(0);
});

fast("another view is another stream, and the one before it is closed", async ({ page, server }) => {
  const seen = watch(page);
  const vm = (await vms(server)).find((vm) => vm.metrics)!;
  await page.goto(server.url);
  await hydrated(page);
  const one = (part: string) => expect.poll(() => [...seen.open].map((request) => request.url())).toEqual([expect.stringContaining(part)]);
  await one("format=postcard");
  await page.goto(`${server.url}/?q=${vm.name}`);
  await hydrated(page);
  await page.locator(`a[href="${address(vm)}"]`).first().click();
  await expect(page.getByRole("navigation", { name: "Breadcrumb" })).toBeVisible();
  await one(`vm=${vm.namespace}/${vm.name}`);
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Sources" }).click();
  await expect(page.getByRole("table", { name: "Sources" })).toBeVisible();
  await one("only=sources");
  for (const _ of [1, 2]) await page.goBack();
  await expect(cards(page).first()).toBeVisible();
  await one(`q=${vm.name}`);
  expect(seen.questions).toBe(0);
});

fast.describe(() => {
  fast.use({ troubled: true });

  fast("a page that outlived its server's build loads itself anew", async ({ page, server }) => {
    await page.goto(server.url);
    await hydrated(page);
    await page.evaluate(() => Object.assign(window, { old: true }));
    // What a server of another build answers to this page.
    await page.route(/\/at\/[0-9a-f]{16}\/en\//, (route) => route.fulfill({ status: 409, body: "\u0002" }));
    const again = page.waitForEvent("load", { timeout: 20_000 });
    const asked = Date.now();
    await show(page, false);
    await show(page, true);
    await again;
    expect(Date.now() - asked, "two builds behind one Service send no page round and round").toBeGreaterThan(1_900);
    await page.unroute(/\/at\/[0-9a-f]{16}\/en\//);
    await hydrated(page);
    expect(await page.evaluate(() => "old" in window)).toBe(false);
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
  });

  fast("a server that comes back is caught up with by the stream", async ({ page }) => {
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
    await expect.poll(() => age.textContent(), { message: "ages go on" }).not.toBe(before);
    const second = await startProgram(PROGRAM, ["demo", ...FAST], { port: first.port });
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
    await expect.poll(() => seen.open.size, { timeout: 15_000 }).toBe(1);
    await second.stop();
  });

  for (const [how, answer] of [
    ["refused", { status: 503, body: "" }],
    ["held back", null],
  ] as const) {
    fast(`where streams are ${how}, the page asks instead`, async ({ page, server }) => {
      await page.route(/\/api\/events/, (route) => answer && route.fulfill(answer));
      const seen = watch(page);
      await page.goto(server.url);
      await expect.poll(() => seen.questions, { timeout: 20_000 }).toBeGreaterThan(1);
      await expect(freshness(page)).toHaveText(/^live$/i);
      const before = await figures(page);
      await expect.poll(() => figures(page), { timeout: 30_000 }).not.toBe(before);
      await page.unroute(/\/api\/events/);
    });
  }
});

/** What the browser does when a tab is covered or seen again. */
async function show(page: Page, visible: boolean) {
  await page.evaluate((visible) => {
    Object.defineProperty(document, "hidden", { value: !visible, configurable: true });
    Object.defineProperty(document, "visibilityState", { value: visible ? "visible" : "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  }, visible);
}
