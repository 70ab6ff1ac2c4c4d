// What guests do: the verdict and the figures on a VM's page, and the columns and the order of the table.
import { address, expect, horizontalOverflow, json, open, test, type Server, type Vm } from "./fixtures";
import type { Page } from "@playwright/test";

type Rates = { receive?: number; transmit?: number; read?: number; write?: number; percent?: number; missing?: { reason: string; fix: string } };
type Active = Vm & { usage: Vm["usage"] & { guestMemory: Rates; network: Rates; storage: Rates; contention: Rates } };

const all = (server: Server) => json<Active[]>(server, "/api/vms");
const verdict = (page: Page) => page.getByRole("region", { name: "Verdict" });
const table = (page: Page) => page.getByRole("table", { name: "Virtual machines" });
const rows = (page: Page) => table(page).locator("tbody").getByRole("row");
const head = (page: Page, name: string) => table(page).getByRole("columnheader", { name, exact: true });

/** Waits until most guests have two samples, and returns the VMs. */
async function measured(server: Server): Promise<Active[]> {
  let vms: Active[] = [];
  await expect.poll(async () => {
    vms = (await all(server)).filter((vm) => vm.status === "Running");
    return vms.filter((vm) => vm.usage.network.receive !== undefined).length;
  }, { timeout: 60_000, message: "running VMs with traffic" }).toBeGreaterThan(10);
  return vms;
}

const pick = (vms: Active[], wanted: (vm: Active) => boolean) => {
  const found = vms.find(wanted);
  expect(found, "the demo has such a VM").toBeTruthy();
  return found!;
};

test("a VM's page begins with a verdict and shows what the guest does", async ({ page, demo }) => {
  const vm = pick(await measured(demo), ({ usage }) => usage.network.receive !== undefined && usage.guestMemory.percent !== undefined);
  await page.goto(address(vm));
  await expect(verdict(page)).toBeVisible();
  const main = page.getByRole("main");
  for (const place of ["in the guest", "on the host"]) await expect(main.getByRole("meter", { name: `Memory ${place}` })).toBeVisible();
  for (const name of ["Contention (steal)", "Swap in, out", "Network in, out", "Disk read, write", "IOPS read, write", "Latency read, write"]) {
    const line = main.locator("dl.lines > div").filter({ hasText: name });
    await expect(line.getByRole("definition"), name).toHaveText(/\d|—/);
  }
  await expect(main).toContainText(/virt-handler, \d+ s window\s*, sampled \d+ s ago/);
  for (const name of ["Networks", "Drives"]) await expect(page.getByRole("table", { name })).toBeVisible();
});

test("a VM without a problem says so, and one with a problem says what helps", async ({ page, demo }) => {
  await measured(demo);
  for (const [filter, level, text] of [["attention=1", /verdict (warn|crit)/, /\w+/], ["", /verdict healthy/, /Nothing needs attention/]] as const) {
    const attention = new Set((await json<Active[]>(demo, "/api/vms.json?attention=1")).map(address));
    const vms = (await json<Active[]>(demo, `/api/vms.json?status=Running&${filter}`)).filter((vm) => filter || !attention.has(address(vm)));
    await page.goto(address(pick(vms, () => true)));
    await expect(verdict(page)).toHaveClass(level);
    await expect(verdict(page)).toContainText(text);
  }
});

test("what is unknown of a guest leads to the reason", async ({ page, demo }) => {
  // On a node whose virt-handler does not answer.
  const vm = pick(await measured(demo), ({ usage }) => !!usage.network.missing?.fix && usage.network.missing.reason !== "first-sample");
  await page.goto(address(vm));
  const unknown = page.getByRole("paragraph").filter({ hasText: "Unknown: the source cannot be reached." });
  await unknown.getByRole("link", { name: "How to fix it" }).first().click();
  await expect(page.getByRole("heading", { name: "Why is this unknown?" })).toBeInViewport();
});

test.describe("the table", () => {
  // Without events, figures stay as the server sent them, and so match the order.
  test.beforeEach(async ({ page }) => { await page.route(/\/api\/events/, () => {}); });

  test("the most traffic comes first, and what is unknown last", async ({ page, demo }) => {
    await measured(demo);
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.goto("/?view=table&status=Running");
    await head(page, "Network").getByRole("link").click();
    await expect(page).toHaveURL(/sort=network/);
    await expect(head(page, "Network")).toHaveAttribute("aria-sort", "descending");
    const amounts = async () => {
      const texts = await rows(page).locator("td.network").allInnerTexts();
      const scale: Record<string, number> = { "B/s": 1, "kB/s": 1e3, "MB/s": 1e6, "GB/s": 1e9 };
      return texts.map((text) => {
        // "≥": the traffic of an SR-IOV interface is not in it.
        const [, digits, unit] = /^(?:≥ )?([\d,.]+) (\S+)$/.exec(text.trim()) ?? [];
        return digits ? Number(digits.replace(",", "")) * scale[unit] : undefined;
      });
    };
    const down = await amounts();
    const known = down.filter((amount) => amount !== undefined);
    expect(known.length).toBeGreaterThan(10);
    expect(down.slice(0, known.length), "what is unknown comes last").toEqual(known);
    expect(known).toEqual([...known].sort((a, b) => b - a));
    await head(page, "Network").getByRole("link").click();
    await expect(head(page, "Network")).toHaveAttribute("aria-sort", "ascending");
    const up = (await amounts()).filter((amount) => amount !== undefined);
    expect(up).toEqual([...up].sort((a, b) => a - b));
  });

  test("narrow screens hide columns, but not the one that is sorted by", async ({ page }) => {
    await page.goto("/?view=table&status=Running&sort=latency");
    for (const [width, shown, hidden] of [
      [2560, ["IP", "Latency", "IOPS", "Contention"], []],
      [1700, ["Latency", "IOPS"], ["IP"]],
      [1440, ["Latency", "Disk I/O", "Contention"], ["IOPS", "Node"]],
      [1200, ["Latency", "Network", "Contention"], ["Disk I/O", "Guest memory"]],
    ] as const) {
      await page.setViewportSize({ width, height: 900 });
      for (const name of shown) await expect(head(page, name), `${name} at ${width} px`).toBeVisible();
      for (const name of hidden) await expect(head(page, name), `${name} at ${width} px`).toBeHidden();
      expect(await horizontalOverflow(page), `at ${width} px`).toBeLessThanOrEqual(0);
    }
    await page.setViewportSize({ width: 390, height: 900 });
    await expect(rows(page).first().locator("td.latency")).toBeVisible();
    await expect(rows(page).first().locator("td.network")).toBeHidden();
    expect(await horizontalOverflow(page)).toBeLessThanOrEqual(0);
  });
});

test("the table in the browser is the server's", async ({ page, demo }) => {
  await measured(demo);
  await open(page, "/?view=table&status=Running&sort=network");
  await expect(rows(page).first().locator("td.network")).toHaveText(/[\d.]+ [kMG]?B\/s/);
});
