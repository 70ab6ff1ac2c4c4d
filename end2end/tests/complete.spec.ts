// Content that pages have with and without JavaScript. Figures are compared with those of the REST API.
import { address, apply, card, cards, expect, interactive, json, open, test, vms, type Vm } from "./fixtures";
import type { Page } from "@playwright/test";

type Stats = { total: number; running: number; stopped: number; error: number; pending: number; totalMemory: string };

test("the home page shows the allocated memory, with the exact value in its tooltip", async ({ page, demo }) => {
  const stats = await json<Stats>(demo, "/api/stats");
  await page.goto("/");
  const lead = page.getByRole("region", { name: "Cluster totals" });
  await expect(lead.getByTitle(stats.totalMemory, { exact: true })).toContainText("allocated");
  const amount = Number.parseFloat(stats.totalMemory).toLocaleString("en", { maximumFractionDigits: 2 });
  await expect(lead).toContainText(`${amount} Gi memory allocated`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveCount(1);
});

test("a count of a state links to its VMs", async ({ page, demo }) => {
  const stats = await json<Stats>(demo, "/api/stats");
  await page.goto("/");
  const counts = page.getByRole("list", { name: "VMs by state" });
  await expect(counts.getByRole("link", { name: /^All VMs/ })).toContainText(String(stats.total));
  await expect(counts.getByRole("link", { name: /^Running/ })).toContainText(String(stats.running));
  await expect(counts.getByRole("link", { name: /^Stopped/ })).toContainText(String(stats.stopped));
  await counts.getByRole("link", { name: /^Stopped/ }).click();
  await expect(page).toHaveURL(/status=stopped/i);
  await expect(cards(page)).toHaveCount(stats.stopped);
});

test("a running VM's card has three meters, with the figures of the API", async ({ page, demo }) => {
  const vm = pick(await vms(demo), (vm) => !!vm.metrics && !vm.usage.disk.missing);
  await page.goto(`/?q=${vm.name}&namespace=${vm.namespace}`);
  for (const name of ["CPU", "Memory", "Disk"]) {
    const meter = card(page, vm).getByRole("meter", { name });
    await expect(meter).toHaveAttribute("aria-valuetext", /\d.* of .*\d+ %/);
    await expect(meter).toHaveAttribute("title", /metrics\.k8s\.io|kubelet/);
  }
});

test("a missing figure has a reason and no meter", async ({ page, demo }) => {
  const vm = pick(await vms(demo), (vm) => vm.status === "Running" && !!vm.usage.disk.missing);
  await page.goto(`/?q=${vm.name}&namespace=${vm.namespace}`);
  const it = card(page, vm);
  await expect(it.getByRole("meter", { name: "CPU" })).toHaveCount(vm.usage.cpu.missing ? 0 : 1);
  await expect(it.getByRole("meter", { name: "Disk" })).toHaveCount(0);
  await expect(it).toContainText("unknown");
  await expect(it.locator(".reason")).toContainText(/Disk/);
});

type Attention = { total: number; vms: number; incidents: { kind: string; what: string; vms: number; query: string; node: string | null; named: { namespace: string; name: string }[] }[] };

const attention = (page: Page) => page.getByRole("region", { name: "Needs attention" });

test("what needs attention stands above the list, one row for each cause", async ({ page, demo }) => {
  await page.goto("/");
  const { total, incidents } = await json<Attention>(demo, "/api/attention");
  const section = attention(page);
  await expect(section.getByRole("heading", { name: "Needs attention" })).toBeVisible();
  await expect(section.getByRole("listitem").filter({ has: page.locator(".what:visible") })).toHaveCount(Math.min(total, 6));
  const node = incidents.find((incident) => incident.node && incident.kind === "down")!;
  await expect(section.getByText(node.what)).toHaveCount(1);
  if (total > 6) {
    await section.getByText(`${total - 6} more`).click();
    await expect(section.locator(".what:visible")).toHaveCount(Math.min(total, 24));
  }
});

test("what is unfolded stays so, though the list changes in the same moment @script", async ({ page }) => {
  await open(page, "/");
  await page.evaluate(() => {
    const place = document.querySelector(".attention")!;
    const markup = place.innerHTML;
    place.querySelector<HTMLElement>(".more:not(.narrow) > summary")!.click();
    place.innerHTML = markup;
  });
  await expect(attention(page).locator(".more:not(.narrow)")).toHaveAttribute("open");
  await expect(attention(page).locator(".what:visible").nth(6)).toBeVisible();
});

test("a row leads to exactly its VMs, and each says why", async ({ page, demo }) => {
  const { incidents } = await json<Attention>(demo, "/api/attention");
  const several = incidents.filter((incident) => incident.vms > 1 && incident.vms <= 50);
  expect(several.length, "the demo has a cause that concerns several VMs").toBeGreaterThan(0);
  for (const { query, vms: count, named } of several.slice(0, 4)) {
    await page.goto("/");
    const link = attention(page).locator(`a[href="/${query}"]`);
    if (!await link.isVisible()) await attention(page).locator(".more > summary").click();
    await link.click();
    await expect(page).toHaveURL(`/${query}`);
    await expect(cards(page)).toHaveCount(count);
    const listed = await json<Vm[]>(demo, `/api/vms.json${query}`);
    expect(listed).toHaveLength(count);
    for (const vm of named) await expect(card(page, vm as Vm)).toHaveCount(1);
  }
});

test("a VM on a node that does not answer is not shown as running", async ({ page, demo }) => {
  const { incidents } = await json<Attention>(demo, "/api/attention");
  const node = incidents.find((incident) => incident.node && incident.kind === "down")!;
  await page.goto(`/${node.query}`);
  await expect(cards(page)).toHaveCount(node.vms);
  await expect(cards(page).filter({ hasText: "Running?" })).toHaveCount(node.vms);
});

test("a page has 50 cards, and links to the next and previous page", async ({ page, demo }) => {
  const { total } = await json<Stats>(demo, "/api/stats");
  await page.goto("/");
  await expect(cards(page)).toHaveCount(50);
  const first = await cards(page).first().getByRole("heading").innerText();
  const pager = page.getByRole("navigation", { name: "Result pages" });
  await pager.getByRole("link", { name: "Next" }).click();
  await expect(page).toHaveURL(/page=2/);
  await expect(pager).toContainText(`51–100 of ${total}`);
  await expect(cards(page)).toHaveCount(50);
  await pager.getByRole("link", { name: "Previous" }).click();
  await expect(page).not.toHaveURL(/page=2/);
  await expect(cards(page).first().getByRole("heading")).toHaveText(first);
});

test("the filter form changes the address", async ({ page, demo }) => {
  const vm = pick(await vms(demo), (vm) => vm.status === "Running");
  await page.goto("/");
  await interactive(page);
  const form = page.locator("form.filters");
  await form.getByRole("searchbox").fill(vm.name);
  await form.getByRole("combobox", { name: "Namespace" }).selectOption(vm.namespace);
  await form.getByRole("combobox", { name: "Sort" }).selectOption({ label: "CPU %" });
  await apply(page);
  await expect(page).toHaveURL(new RegExp(`namespace=${vm.namespace}`));
  await expect(page).toHaveURL(/sort=cpu/);
  await expect(card(page, vm)).toHaveCount(1);
  await expect(form.getByRole("searchbox")).toHaveValue(vm.name);
  await expect(form.getByRole("combobox", { name: "Namespace" })).toHaveValue(vm.namespace);
  await page.reload();
  await expect(card(page, vm)).toHaveCount(1);
});

test("Back clears the form", async ({ page }) => {
  await page.goto("/");
  const text = page.locator("form.filters").getByRole("searchbox");
  await text.fill("db");
  await text.press("Enter");
  await expect(page).toHaveURL(/q=db/);
  await page.goBack();
  await expect(text).toHaveValue("");
  await expect(cards(page)).toHaveCount(50);
});

test("sorting by CPU puts the highest first", async ({ page }) => {
  // Without events, figures stay as the server sent them, and so match the order.
  await page.route(/\/api\/events/, () => {});
  await page.goto("/?sort=cpu&status=Running");
  const percents = await cards(page).getByRole("meter", { name: "CPU" })
    .evaluateAll((meters) => meters.map((meter) => Number(/([\d,]+) %$/.exec(meter.getAttribute("aria-valuetext") ?? "")?.[1].replace(",", ""))));
  expect(percents.length).toBeGreaterThan(10);
  expect(percents).toEqual([...percents].sort((a, b) => b - a));
});

test("an empty result has a link that clears the filters", async ({ page }) => {
  await page.goto("/?q=no-such-machine");
  await expect(cards(page)).toHaveCount(0);
  await page.getByRole("main").getByRole("link", { name: /clear/i }).first().click();
  await expect(cards(page)).toHaveCount(50);
});

test("a VM's page has its facts, figures and volumes", async ({ page, demo }) => {
  const vm = pick(await vms(demo), (vm) => !!vm.metrics && !vm.usage.disk.missing);
  await page.goto(address(vm));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(vm.name);
  const main = page.getByRole("main");
  for (const fact of [vm.namespace, vm.nodeName, "Running", "Launcher pod", "Image"]) await expect(main).toContainText(fact);
  await expect(page.getByRole("table", { name: "Volumes" }).getByRole("row")).not.toHaveCount(1);
  await expect(main).toContainText("metrics.k8s.io");
});

test("a card links to the reason on the VM's page", async ({ page, demo }) => {
  const vm = pick(await vms(demo), (vm) => vm.status === "Running" && !!vm.usage.disk.missing);
  await page.goto(`/?q=${vm.name}&namespace=${vm.namespace}`);
  await card(page, vm).getByRole("link", { name: /^Why/ }).click();
  await expect(page.getByRole("heading", { name: "Why is this unknown?" })).toBeInViewport();
});

test("a VM's page says why a figure is unknown", async ({ page, demo }) => {
  const vm = pick(await vms(demo), (vm) => vm.status === "Running" && !!vm.usage.disk.missing);
  await page.goto(address(vm));
  const why = page.locator("section[aria-labelledby=why]");
  await expect(why.getByText(vm.usage.disk.missing!.detail).first()).toBeVisible();
  await expect(page.getByRole("main").getByText("unknown").first()).toBeVisible();
});

test("a card links to its VM, and the breadcrumb back to the list", async ({ page, demo }) => {
  await page.goto("/");
  const link = cards(page).first().getByRole("heading").getByRole("link");
  const name = await link.innerText();
  await link.click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(name);
  await page.getByRole("navigation", { name: "Breadcrumb" }).getByRole("link", { name: "VMs" }).click();
  await expect(cards(page)).toHaveCount(50);
});

test("the sources page lists the sources", async ({ page, demo }) => {
  await page.goto("/sources");
  const table = page.getByRole("table", { name: "Sources" });
  await expect(table).toContainText("metrics.k8s.io");
  await expect(table).toContainText(/kubelet/i);
  await expect(table).toContainText("Healthy");
});

test("the top bar marks the demo", async ({ page }) => {
  for (const path of ["/", "/sources"]) {
    await page.goto(path);
    await expect(page.getByRole("banner")).toContainText(/demo/i);
  }
});

for (const [path, status] of [["/vms/nowhere/nothing", 404], ["/no/such/page", 404], ["/?page=x", 400], ["/?sort=size", 400]] as const) {
  test(`${path} is a page with status ${status}`, async ({ page }) => {
    const response = await page.goto(path);
    expect(response?.status()).toBe(status);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await expect(page.getByRole("banner").getByRole("link", { name: /home/ })).toBeVisible();
  });
}

function pick(all: Vm[], wanted: (vm: Vm) => boolean): Vm {
  const vm = all.find(wanted);
  if (!vm) throw new Error("the demo has no such VM");
  return vm;
}
