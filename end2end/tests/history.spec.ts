// History: sparklines on cards, charts on the page of a VM, and the insights page.
import type { Page } from "@playwright/test";
import { address, card, expect, horizontalOverflow, json, open, test, vms, type Server, type Vm } from "./fixtures";

const CHARTS = ["CPU", "Memory", "Disk"];
const chart = (page: Page, name: string) => page.getByRole("figure").filter({ has: page.getByRole("heading", { name, exact: true }) });
const cursor = (page: Page, name: string) => page.getByRole("slider", { name: new RegExp(`^${name}`) });
const readouts = (page: Page) => page.locator(".readout").allInnerTexts();
const spans = (page: Page) => page.getByRole("navigation", { name: "Span of the charts" });

const measured = async (demo: Server): Promise<Vm> => (await vms(demo)).find((vm) => vm.metrics && !vm.usage.disk.missing)!;

/** The strips of a guest that reads and writes, and their first line of text. */
const STRIPS: [string, RegExp][] = [
  ["Network", /^in [\d.,]+ [kMGT]?B\/s, p95 /],
  ["Disk I/O", /^read [\d.,]+ [kMGT]?B\/s, p95 /],
  ["Latency", /^read [\d.,]+ ms, p95 /],
  ["Contention (steal)", /^[\d.]+ %, p95 /],
  ["Guest memory", /^[\d.]+ Gi, p95 /],
];
const strip = (page: Page, name: string) => page.locator(".strip").filter({ has: page.getByRole("heading", { name, exact: true }) });

/** A VM whose guest was sampled twice and reads from its drives. */
async function active(demo: Server): Promise<Vm> {
  type Active = Vm & { usage: { network: { receive?: number }; storage: { readLatency?: number }; guestMemory: { used?: number }; contention: { percent?: number } } };
  const find = async () => (await json<Active[]>(demo, "/api/vms")).find(({ usage: { network, storage, guestMemory, contention } }) =>
    network.receive !== undefined && storage.readLatency != null && guestMemory.used !== undefined && contention.percent !== undefined);
  await expect.poll(async () => !!(await find()), { timeout: 60_000, message: "a guest that is measured" }).toBe(true);
  return (await find())!;
}

/** Waits for the first findings, which are computed soon after the start and then every few minutes. */
async function findings(demo: Server) {
  const total = async () => (await json<{ matching: number }>(demo, "/api/insights")).matching;
  await expect.poll(total, { timeout: 150_000, message: "the first findings" }).toBeGreaterThan(0);
}

for (const scripted of [true, false]) {
  test.describe(scripted ? "with JavaScript" : "without JavaScript", () => {
    test.use({ javaScriptEnabled: scripted });

    test("three charts show the last hour, and links lead to longer spans", async ({ page, demo }) => {
      const vm = await measured(demo);
      await page.goto(address(vm));
      for (const name of CHARTS) {
        await expect(chart(page, name).getByRole("img")).toHaveAttribute("aria-label", new RegExp(`^${name}\\. Last hour: `));
      }
      await expect(chart(page, "CPU").locator("path.line")).toHaveAttribute("d", /^M/);
      await expect(chart(page, "CPU")).toContainText(/allocated: [\d.]+ vCPU/);
      await spans(page).getByRole("link", { name: "24 h" }).click();
      await expect(page).toHaveURL(/span=24h/);
      await expect(spans(page).locator("[aria-current]")).toHaveText("24 h");
      await expect(chart(page, "Memory").getByRole("img")).toHaveAttribute("aria-label", /Last 24 hours/);
    });

    test("strips show what the guest does, each with its amounts and its own scale", async ({ page, demo }) => {
      test.setTimeout(150_000);
      const vm = await active(demo);
      for (const [query, span] of [["", "Last hour"], ["?span=24h", "Last 24 hours"]]) {
        await page.goto(address(vm) + query);
        for (const [name, amount] of STRIPS) {
          await expect(strip(page, name).getByRole("img"), name).toHaveAttribute("aria-label", new RegExp(`^${name.replace(/[()]/g, "\\$&")}\\. ${span}: `));
          await expect(strip(page, name).locator("p").first(), name).toHaveText(amount);
          await expect(strip(page, name).locator("path.line").first(), name).toHaveAttribute("d", /^M/);
        }
        // The upper end of a scale is a round amount.
        await expect(strip(page, "Network").locator("svg text").first()).toHaveText(/^[125]0*(\.0)? [kMGT]?B\/s$/);
      }
      await expect(page.locator(".strip.time text").first()).toHaveText(/^\d\d:\d\d$/);
      expect(await horizontalOverflow(page)).toBeLessThanOrEqual(0);
    });

    test("a VM that no source measures has a sentence in place of strips", async ({ page, demo }) => {
      const stopped = (await vms(demo)).find((vm) => vm.status === "Stopped")!;
      await page.goto(`${address(stopped)}?span=24h`);
      await expect(page.locator(".strip")).toHaveCount(0);
      await expect(page.getByRole("main")).toContainText("no samples of network, disk I/O, latency, contention, guest memory and volumes");
    });

    test("a month is drawn, or the page says why it is incomplete", async ({ page, demo }) => {
      await page.goto(`${address(await measured(demo))}?span=30d`);
      await expect(page.locator(".charts")).toBeVisible();
      const line = await chart(page, "CPU").locator("path.line").getAttribute("d");
      if (!line) await expect(page.locator(".incomplete")).toContainText(/prometheus/i);
    });

    test("an unknown span is a page with status 400", async ({ page, demo }) => {
      const response = await page.goto(`${address(await measured(demo))}?span=1y`);
      expect(response?.status()).toBe(400);
      await expect(page.getByRole("main")).toContainText("span");
    });

    test("a card has a sparkline for each figure, hidden from screen readers", async ({ page, demo }) => {
      test.setTimeout(120_000);
      const vm = await measured(demo);
      // A sparkline needs two samples, and a page without scripts does not update.
      await expect(async () => {
        await page.goto(`/?q=${vm.name}&namespace=${vm.namespace}`);
        await expect(card(page, vm).locator("svg.sparkline[aria-hidden=true]")).toHaveCount(3, { timeout: 1_000 });
      }).toPass({ timeout: 90_000 });
    });

    test("a count of findings links to these findings", async ({ page, demo }) => {
      test.setTimeout(200_000);
      await findings(demo);
      await page.goto("/insights");
      const counts = page.getByRole("list", { name: "Findings by kind" }).getByRole("link");
      await expect(counts).toHaveCount(4);
      for (const index of [1, 2, 3]) {
        const [, count] = /(\d+)\s*$/.exec(await counts.nth(index).innerText())!;
        await counts.nth(index).click();
        await expect(page).toHaveURL(/kind=/);
        if (count === "0") await expect(page.getByRole("main")).toContainText("No finding matches");
        else await expect(page.getByRole("table", { name: "Findings" }).getByRole("row")).toHaveCount(Math.min(Number(count), 50) + 1);
        await page.getByRole("list", { name: "Findings by kind" }).getByRole("link").first().click();
        await expect(page).toHaveURL(/insights$/);
      }
    });

    test("a column heading sorts, and a second click reverses the order", async ({ page, demo }) => {
      test.setTimeout(200_000);
      await findings(demo);
      await page.goto("/insights");
      const head = page.getByRole("columnheader", { name: "VM" });
      await head.getByRole("link").click();
      await expect(head).toHaveAttribute("aria-sort", "ascending");
      const names = () => page.getByRole("rowheader").getByRole("link").allInnerTexts();
      const up = await names();
      expect(up).toEqual([...up].sort());
      await head.getByRole("link").click();
      await expect(head).toHaveAttribute("aria-sort", "descending");
      const down = await names();
      expect(down).toEqual([...down].sort().reverse());
    });
  });
}

test("the pointer reads the same time in all charts, and leaving returns to the newest sample", async ({ page, demo }) => {
  await open(page, address(await measured(demo)));
  await cursor(page, "Memory").hover({ position: { x: 30, y: 40 } });
  const [moment] = (await cursor(page, "Memory").getAttribute("aria-valuetext"))!.split(" UTC");
  await expect.poll(async () => (await readouts(page)).map((text) => text.split(" UTC")[0])).toEqual([moment, moment, moment]);
  const early = await readouts(page);
  await page.mouse.move(5, 5);
  await expect.poll(() => readouts(page)).not.toEqual(early);
});

test("the keyboard moves the cursor point by point", async ({ page, demo }) => {
  await open(page, address(await measured(demo)));
  const cpu = cursor(page, "CPU");
  await cpu.focus();
  const last = Number(await cpu.getAttribute("max"));
  await page.keyboard.press("Home");
  await expect(cpu).toHaveValue("0");
  await page.keyboard.press("ArrowRight");
  await expect(cpu).toHaveValue("1");
  await page.keyboard.press("End");
  await expect(cpu).toHaveValue(String(last));
  await page.keyboard.press("ArrowLeft");
  await expect(cpu).toHaveAttribute("aria-valuetext", /^\d\d:\d\d:\d\d UTC: ([\d.]+ %|no sample)$/);
  await expect(chart(page, "CPU").locator("path.cursor")).toHaveAttribute("d", new RegExp(`^M${last - 1} 0V`));
});

test("another span needs no page load, and Back returns to the first", async ({ page, demo }) => {
  await open(page, address(await measured(demo)));
  await page.evaluate(() => Object.assign(window, { marked: true }));
  await spans(page).getByRole("link", { name: "7 d" }).click();
  await expect(chart(page, "Disk").getByRole("img")).toHaveAttribute("aria-label", /Last 7 days/);
  await page.goBack();
  await expect(chart(page, "Disk").getByRole("img")).toHaveAttribute("aria-label", /Last hour/);
  expect(await page.evaluate(() => "marked" in window)).toBe(true);
});
