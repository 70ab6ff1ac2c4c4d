// What happened to a VM: its Events, migrations and last start, with and without JavaScript.
import { address, expect, horizontalOverflow, json, open, test, violations, type Server, type Vm } from "./fixtures";
import type { Page } from "@playwright/test";

type Happened = Vm & {
  events: { type: string; reason: string; message: string; count: number; lastAt: number | null; object: { kind: string; name: string } }[];
  eventsMissing: { reason: string; detail: string } | null;
  migrations: { phase: string; sourceNode: string; targetNode: string }[];
};

const section = (page: Page) => page.getByRole("heading", { name: "Events and migrations" });
const lines = (page: Page) => page.locator("ol.timeline > li");

/** Returns a VM of the demo with its Events. */
async function read(server: Server, namespace: string, name: string): Promise<Happened> {
  let vm: Happened | undefined;
  await expect.poll(async () => {
    vm = await json<Happened>(server, `/api/vms/${name}?namespace=${namespace}`);
    return vm.eventsMissing;
  }, { message: "the events are read" }).toBeNull();
  return vm!;
}

test("a VM that its liveness probe restarted says so, with the times", async ({ page, demo }) => {
  const vm = await read(demo, "shop", "orders-worker-05");
  const probe = vm.events.find(({ reason }) => reason === "Unhealthy");
  expect(probe, "the events of the pod that was killed").toBeTruthy();
  expect(probe).toMatchObject({ type: "Warning", count: 3, object: { kind: "Pod" } });
  await page.goto(address(vm));
  await expect(page.getByRole("main")).toContainText(/The guest was killed at .* UTC, since its liveness probe had failed, and started again at/);
  await expect(section(page)).toBeVisible();
  const line = lines(page).filter({ hasText: probe!.message });
  await expect(line).toHaveCount(1);
  await expect(line).toHaveClass("warn");
  await expect(line).toContainText(/\d{4}-\d\d-\d\d \d\d:\d\d UTC/);
  await expect(line).toContainText(/Unhealthy · Pod virt-launcher-\S+ · kubelet · 3 times since/);
  await expect(lines(page).filter({ hasText: "The guest was started" })).toHaveCount(1);
  await expect(lines(page).filter({ hasText: "Container compute failed liveness probe" })).toHaveCount(1);
});

test("a migration under way says from where to where, and how far it is", async ({ page, demo }) => {
  const vm = await read(demo, "monitoring", "prometheus-0");
  const [migration] = vm.migrations;
  await page.goto(address(vm));
  const line = lines(page).filter({ hasText: `Migrating from ${migration.sourceNode} to ${migration.targetNode}` });
  await expect(line).toHaveCount(1);
  await expect(line).toContainText(/[\d,.]+ \w+ sent, [\d,.]+ \w+ remaining; sends (–|.*\/s), the guest writes .*\/s/);
});

test("the newest comes first", async ({ page, demo }) => {
  const vm = await read(demo, "shop", "orders-worker-05");
  await page.goto(address(vm));
  const times = await lines(page).locator(".when").allInnerTexts();
  expect(times.length).toBeGreaterThan(3);
  const known = times.filter((time) => /UTC/.test(time));
  expect(known).toEqual([...known].sort().reverse());
});

test("the timeline is in Chinese too", async ({ page, demo }) => {
  const vm = await read(demo, "shop", "orders-worker-05");
  await page.goto(`${address(vm)}?lang=zh-CN`);
  await expect(page.getByRole("heading", { name: "事件和迁移" })).toBeVisible();
  await expect(lines(page).filter({ hasText: "虚拟机已启动" })).toHaveCount(1);
});

test("it fits narrow windows and breaks no rule of accessibility", async ({ page, demo, javaScriptEnabled }) => {
  const vm = await read(demo, "shop", "orders-worker-05");
  await page.goto(address(vm));
  for (const width of [360, 720, 1440]) {
    await page.setViewportSize({ width, height: 900 });
    await expect(lines(page).first()).toBeVisible();
    expect(await horizontalOverflow(page), `at ${width} px`).toBeLessThanOrEqual(0);
  }
  if (!javaScriptEnabled) return; // axe runs as a script in the page
  expect(await violations(page)).toEqual([]);
});

test("a page that was opened by a link has the timeline too @script", async ({ page, demo }) => {
  const vm = await read(demo, "shop", "orders-worker-05");
  await open(page, `/?q=${vm.name}&namespace=${vm.namespace}`);
  await page.getByRole("main").locator(`a[href="${address(vm)}"]`).first().click();
  await expect(section(page)).toBeVisible();
  await expect(lines(page).filter({ hasText: "The guest was started" })).toHaveCount(1);
});
