// The map of VMs, and the pages of nodes and namespaces.
import { apply, expect, interactive, json, open, test, vms, type Vm } from "./fixtures";

type Groups = { groups: { name: string | null; total: number; node?: { cpu: { percent: number | null } } }[]; top: { cpu: { name: string }[] } };

const squares = (paths: Element[]) => paths.reduce((sum, path) => sum + (path.getAttribute("d")?.match(/M/g)?.length ?? 0), 0);
const cells = (page: import("@playwright/test").Page) => page.locator(".map .squares path");

test("every VM is a square in the group of its node", async ({ page, demo }) => {
  const all = await vms(demo);
  await page.goto("/?view=map");
  expect(await cells(page).evaluateAll(squares)).toBe(all.length);
  const nodes = new Set(all.map((vm) => vm.nodeName));
  await expect(page.locator(".map section")).toHaveCount(nodes.size);
  await expect(page.locator(".map")).not.toContainText(all[0].name);
});

test("a group links to the table of its VMs and counts those that need attention", async ({ page, demo }) => {
  const all = await vms(demo);
  // The demo has a dead node, whose disks are unknown.
  const node = all.find((vm) => vm.status === "Running" && ["timed-out", "unreachable"].includes(vm.usage.disk.missing?.reason ?? ""))!.nodeName;
  await page.goto("/?view=map");
  const group = page.locator(".map section").filter({ has: page.getByRole("heading", { name: node }) });
  await expect(group).toContainText(/needs? attention/);
  await group.getByRole("link", { name: node }).click();
  await expect(page).toHaveURL(new RegExp(`node=${node}`));
  await expect(page.getByRole("table", { name: "Virtual machines" })).toBeVisible();
});

test("colour, grouping and filters are in the address", async ({ page, demo }) => {
  const all = await vms(demo);
  const namespace = all[0].namespace;
  await page.goto("/?view=map");
  await page.getByRole("navigation", { name: "Colour by" }).getByRole("link", { name: "Memory" }).click();
  await expect(page).toHaveURL(/color=memory/);
  await expect(page.getByRole("list", { name: /Legend: Memory used/ })).toBeVisible();
  await page.getByRole("navigation", { name: "Group by" }).getByRole("link", { name: "Namespace" }).click();
  await expect(page).toHaveURL(/by=namespace/);
  await interactive(page);
  await page.locator('form.filters select[name="namespace"]').selectOption(namespace);
  await apply(page);
  await expect(page).toHaveURL(new RegExp(`namespace=${namespace}`));
  await expect(page).toHaveURL(/color=memory/);
  await expect(page.locator(".map section")).toHaveCount(1);
  expect(await cells(page).evaluateAll(squares)).toBe(all.filter((vm) => vm.namespace === namespace).length);
});

test("nodes show their overcommitment, namespaces their allocation", async ({ page, demo }) => {
  const groups = await json<Groups>(demo, "/api/groups?by=node");
  await page.goto("/groups");
  const table = page.getByRole("table", { name: "Nodes" });
  const node = groups.groups.find((group) => group.node?.cpu.percent != null)!;
  await expect(table.getByRole("row").filter({ has: page.getByRole("link", { name: node.name!, exact: true }) })).toContainText("%");
  await expect(page.getByRole("main")).toContainText(groups.top.cpu[0].name);
  await table.getByRole("link", { name: /^CPU allocated/ }).click();
  await expect(page).toHaveURL(/sort=cpu-allocated/);
  await expect(table.getByRole("columnheader", { name: /CPU allocated/ })).toHaveAttribute("aria-sort", "descending");
  await page.getByRole("navigation", { name: "Group by" }).getByRole("link", { name: "Namespaces" }).click();
  await expect(page.getByRole("table", { name: "Namespaces" })).toBeVisible();
});

test.describe("with a script", { tag: "@script" }, () => {
  const inGroup = (all: Vm[], node: string) => all
    .filter((vm) => vm.nodeName === node)
    .sort((a, b) => (a.namespace === b.namespace ? (a.name < b.name ? -1 : 1) : a.namespace < b.namespace ? -1 : 1));

  test("the pointer shows the VM's name, names are fetched once per group, and a click opens the VM", async ({ page, demo }) => {
    const requests: string[] = [];
    page.on("request", (request) => { if (request.url().includes("/fn/map-names")) requests.push(request.url()); });
    const all = await vms(demo);
    await open(page, "/?view=map");
    const heading = await page.locator(".map section h3 a").first().innerText();
    const group = inGroup(all, heading);
    const block = page.locator(".map section").first().locator(".block").first();
    const tip = page.locator(".map .selected");
    await block.hover({ position: { x: 10, y: 10 } });
    await expect(tip).toContainText(group[0].name);
    await expect(tip).toContainText(group[0].namespace);
    await block.hover({ position: { x: 34, y: 10 } });
    await expect(tip).toContainText(group[1].name);
    await expect(tip).toContainText(/CPU|stopped|error|pending/);
    expect(requests.length).toBeLessThanOrEqual(2); // a second time if a square has changed meanwhile
    await block.click({ position: { x: 34, y: 10 } });
    await expect(page).toHaveURL(new RegExp(`/vms/${group[1].namespace}/${group[1].name}`));
  });

  test("each group is one tab stop; arrow keys select a VM, Enter opens it", async ({ page, demo }) => {
    const all = await vms(demo);
    await open(page, "/?view=map");
    const first = page.locator(".map section").first();
    const group = inGroup(all, await first.locator("h3 a").innerText());
    const list = first.getByRole("listbox");
    await list.focus();
    const here = list.getByRole("option");
    await expect(here).toContainText(group[0].name);
    await page.keyboard.press("ArrowRight");
    await expect(here).toContainText(group[1].name);
    await page.keyboard.press("ArrowDown");
    await expect(here).toContainText(group[11].name);
    await expect(list).toHaveAttribute("aria-activedescendant", (await here.getAttribute("id"))!);
    await page.keyboard.press("Tab");
    await expect(here).toHaveCount(0);
    await list.focus();
    await page.keyboard.press("End");
    await expect(here).toContainText(group[group.length - 1].name);
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(group[group.length - 1].name);
  });

  test("the view switch fetches the map's code, and returns to the cards", async ({ page }) => {
    await open(page, "/");
    await page.getByRole("button", { name: "Map" }).click();
    await expect(page.locator(".map section").first()).toBeVisible();
    await page.goBack();
    await expect(page.getByRole("main").getByRole("article").first()).toBeVisible();
    await expect(page.locator(".map")).toHaveCount(0);
  });

  test("hydration of the map keeps the server's nodes", async ({ page }) => {
    let release = () => {};
    const held = new Promise<void>((resolve) => { release = resolve; });
    await page.route(/\/pkg\/.*\.wasm/, async (route) => { await held; await route.continue(); });
    await page.route(/\/api\/events/, () => {}); // without events nothing changes meanwhile
    await page.goto("/?view=map", { waitUntil: "commit" });
    await page.waitForLoadState("domcontentloaded");
    const drawn = page.locator(".map section, .map path");
    await drawn.evaluateAll((nodes) => nodes.forEach((node) => ((node as unknown as Record<string, boolean>).kept = true)));
    const before = await drawn.count();
    release();
    await expect(page.getByRole("listbox").first()).toBeVisible();
    expect(await drawn.evaluateAll((nodes) => nodes.filter((node) => (node as unknown as Record<string, boolean>).kept).length)).toBe(before);
  });
});
