// The pages on a real control plane. end2end/cluster/with-cluster.sh sets BASE_URL to the server.
import { address, card, cards, expect, freshness, json, open, test, vms } from "./fixtures";

test("every VM is a card, and the page stays live", async ({ page, demo }) => {
  const all = await vms(demo);
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Network.enable");
  let changes = 0;
  // Messages longer than a keep-alive carry the list and its changes.
  cdp.on("Network.eventSourceMessageReceived", ({ data }) => { if (data.length > 1) changes += 1; });
  await open(page, "/");
  await expect(cards(page)).toHaveCount(Math.min(all.length, 50));
  const measured = all.filter((vm) => vm.metrics);
  expect(measured.length).toBeGreaterThan(0);
  for (const vm of measured) {
    await expect(card(page, vm).getByRole("meter", { name: "CPU" })).toHaveAttribute("aria-valuetext", /\d+ %$/);
  }
  for (const vm of all.filter((vm) => vm.status === "Running" && vm.usage.cpu.missing)) {
    await expect(card(page, vm).getByRole("meter", { name: "CPU" })).toHaveCount(0);
    await expect(card(page, vm)).toContainText("unknown");
  }
  await expect.poll(() => changes, { timeout: 30_000 }).toBeGreaterThan(1);
  await expect(freshness(page)).toHaveText(/^live$/i);
});

test("the totals equal those of the API", async ({ page, demo }) => {
  const stats = await json<{ total: number; totalMemory: string }>(demo, "/api/stats");
  await open(page, "/");
  await expect(page.getByRole("link", { name: /^All VMs/ })).toContainText(String(stats.total));
  const lead = await page.getByRole("region", { name: "Cluster totals" }).innerText();
  expect(lead.replaceAll(",", "")).toContain(stats.totalMemory.replace(/Gi$/, ""));
});

test("links lead to a VM's page and to the sources", async ({ page, demo }) => {
  const vm = (await vms(demo)).find((vm) => vm.metrics)!;
  await open(page, "/");
  await card(page, vm).getByRole("heading").getByRole("link").click();
  await expect(page).toHaveURL(new RegExp(`${address(vm)}$`));
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(vm.name);
  await expect(page.getByRole("main")).toContainText("metrics.k8s.io");
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Sources" }).click();
  await expect(page.getByRole("table", { name: "Sources" })).toContainText("Healthy");
});
