// Long tasks of the browser with 10,000 VMs on 500 nodes. Runs alone, because other work would be measured too.
import type { Page } from "@playwright/test";
import { pageFunctions } from "lighthouse/core/lib/page-functions.js";
import { demoOf } from "./everywhere";
import { cards, expect, hydrated } from "./fixtures";

const crowd = demoOf("--vms", "10000", "--nodes", "500");
crowd.describe.configure({ mode: "default", timeout: 240_000 });

/** The longest task in milliseconds, on a machine with this benchmark index of Lighthouse. */
const LONGEST_TASK = 50;
const REFERENCE_INDEX = 3_200;
/** A task is too long only if it is so in each attempt, since another program can use the processor for a moment. */
const ATTEMPTS = 3;
const MOST_ROWS = 200;

const form = (page: Page) => page.locator("form.filters");
const rows = (page: Page) => page.getByRole("table", { name: "Virtual machines" }).locator("tbody").getByRole("row");
const range = (page: Page) => form(page).getByRole("status");
const view = (page: Page, name: string) => form(page).getByRole("group", { name: "View" }).getByRole("button", { name });

/** The limit for this machine now: one that is half as fast may take twice as long. */
async function longestTask(page: Page) {
  const index = await page.evaluate(pageFunctions.computeBenchmarkIndex);
  return Math.round(LONGEST_TASK * Math.max(1, REFERENCE_INDEX / index));
}

/** Opens the list, runs the steps, and returns the lengths of the browser's long tasks. */
async function longTasks(page: Page, steps: () => Promise<void>): Promise<number[]> {
  await page.goto("/");
  await hydrated(page);
  await page.evaluate(() => {
    const long = ((window as unknown as { long: number[] }).long = []) as number[];
    new PerformanceObserver((list) => long.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: "longtask" });
  });
  await steps();
  return page.evaluate(() => (window as unknown as { long: number[] }).long.map(Math.round));
}

/** Fails if a task is too long while the steps run. */
async function smoothly(page: Page, what: string, steps: () => Promise<void>) {
  let tooLong: number[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const limit = await longestTask(page);
    const long = await longTasks(page, steps);
    console.log(`${what}: tasks of ${LONGEST_TASK} ms and more: ${JSON.stringify(long)}, the limit here is ${limit} ms`);
    tooLong = long.filter((ms) => ms > limit);
    // A build without optimisation is too slow to measure.
    if (tooLong.length === 0 || process.env.WUKONG_PROFILE === "demo") return;
  }
  expect(tooLong, what).toEqual([]);
}

crowd("no task takes longer than 50 ms while the list is paged, filtered and sorted", ({ page }) =>
  smoothly(page, "view, page, filter, sort", async () => {
    await expect(range(page)).toHaveText("1–50 of 10,000");
    await expect(cards(page)).toHaveCount(50);
    await view(page, "Table").click();
    await expect(rows(page)).toHaveCount(50);
    await page.getByRole("link", { name: "Next" }).click();
    await expect(range(page)).toHaveText("51–100 of 10,000");
    await form(page).getByRole("searchbox").fill("web");
    await expect(page).toHaveURL(/q=web/);
    await expect(range(page)).not.toContainText("10,000");
    const cpu = page.getByRole("columnheader", { name: "CPU", exact: true });
    await cpu.getByRole("link").click();
    await expect(cpu).toHaveAttribute("aria-sort", "descending");
    expect(await page.locator("article, tbody tr").count()).toBeLessThanOrEqual(MOST_ROWS);
  }));

crowd("no task takes longer than 50 ms while changes arrive", ({ page }) =>
  smoothly(page, "changes", async () => {
    const before = await cards(page).first().textContent();
    await expect.poll(() => cards(page).first().textContent(), { timeout: 60_000 }).not.toBe(before);
    await page.waitForTimeout(15_000); // one interval of pod metrics
  }));

crowd("no task takes longer than 50 ms while the map draws 10,000 squares", ({ page }) =>
  smoothly(page, "map", async () => {
    await view(page, "Map").click();
    await expect(page.locator(".map section").first()).toBeVisible();
    const squares = () => page.locator(".map .squares path").evaluateAll((paths) =>
      paths.reduce((sum, path) => sum + (path.getAttribute("d")?.match(/M/g)?.length ?? 0), 0));
    await expect.poll(squares).toBe(10_000);
    await page.locator(".block").nth(3).hover();
    await expect(page.locator(".map .selected b")).not.toHaveText("…");
  }));
