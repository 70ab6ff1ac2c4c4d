// Finding VMs: filters, sorting, the table, keyboard shortcuts, downloads. Tests that need no script also run without one.
import AxeBuilder from "@axe-core/playwright";
import { address, apply, cards, expect, horizontalOverflow, hydrated, interactive, open, test, vms, type Vm } from "./fixtures";
import type { Page } from "@playwright/test";

const form = (page: Page) => page.locator("form.filters");
const table = (page: Page) => page.getByRole("table", { name: "Virtual machines" });
const rows = (page: Page) => table(page).locator("tbody").getByRole("row");
const head = (page: Page, name: string) => table(page).getByRole("columnheader", { name, exact: true });
const view = (page: Page, name: string) => form(page).getByRole("group", { name: "View" }).getByRole("button", { name });

test.describe("with and without a script", () => {
  test("switching between table and cards keeps the filter", async ({ page }) => {
    await page.goto("/?status=Running&sort=cpu");
    const names = await cards(page).getByRole("heading").allInnerTexts();
    await view(page, "Table").click();
    await expect(page).toHaveURL(/status=Running/);
    await expect(page).toHaveURL(/view=table/);
    await expect(rows(page)).toHaveCount(50);
    expect(await rows(page).getByRole("rowheader").allInnerTexts()).toHaveLength(names.length);
    await expect(cards(page)).toHaveCount(0);
    await view(page, "Cards").click();
    await expect(cards(page)).toHaveCount(50);
    await expect(page).toHaveURL(/status=Running/);
    await expect(page).not.toHaveURL(/view=table/);
  });

  test("a column heading sorts, and a second click reverses the order", async ({ page }) => {
    // Without events, figures stay as the server sent them, and so match the order.
    await page.route(/\/api\/events/, () => {});
    await page.goto("/?view=table&status=Running");
    const percents = async () => (await table(page).getByRole("meter", { name: "Disk" }).evaluateAll((meters) =>
      meters.map((meter) => Number(/([\d,]+) %/.exec(meter.getAttribute("aria-valuetext") ?? "")?.[1].replace(",", "")))));
    // The whole heading can be clicked, not only its text.
    await head(page, "Disk").click({ position: { x: 4, y: 3 } });
    await expect(head(page, "Disk")).toHaveAttribute("aria-sort", "descending");
    const down = await percents();
    expect(down.length).toBeGreaterThan(10);
    expect(down).toEqual([...down].sort((a, b) => b - a));
    await head(page, "Disk").getByRole("link").click();
    await expect(head(page, "Disk")).toHaveAttribute("aria-sort", "ascending");
    const up = await percents();
    expect(up).toEqual([...up].sort((a, b) => a - b));
    await expect(head(page, "Name")).not.toHaveAttribute("aria-sort");
  });

  test("a hidden column stays hidden", async ({ page }) => {
    await page.goto("/?view=table");
    await page.getByText("Columns", { exact: true }).click();
    await page.setViewportSize({ width: 1440, height: 900 });
    await expect(head(page, "IP")).toBeHidden();
    await expect(page.getByRole("link", { name: /^IP\b/ }), "a column without room is not offered").toBeHidden();
    await page.setViewportSize({ width: 1920, height: 900 });
    await page.getByRole("link", { name: /^IP\b.*hide/ }).click();
    await expect(page).toHaveURL(/columns=namespace,status,node,cpu,memory,guest-memory,disk,network,storage,operations,latency,contention,age/);
    await expect(head(page, "IP")).toHaveCount(0);
    await page.goto("/?view=table");
    await expect(head(page, "Namespace")).toHaveCount(1);
    await expect(head(page, "IP"), "the choice is remembered").toHaveCount(0);
  });

  test("an unknown figure in the table links to the reason", async ({ page, demo }) => {
    const vm = pick(await vms(demo), (vm) => vm.status === "Running" && !!vm.usage.disk.missing);
    await page.goto(`/?view=table&q=${vm.name}&namespace=${vm.namespace}`);
    const row = rows(page).filter({ has: page.locator(`a[href="${address(vm)}"]`) });
    await expect(row.getByRole("meter", { name: "Disk" })).toHaveCount(0);
    await row.getByRole("link", { name: `Disk of ${vm.name} is unknown` }).click();
    await expect(page).toHaveURL(`${address(vm)}#why`);
    await expect(page.getByRole("heading", { name: "Why is this unknown?" })).toBeInViewport();
  });

  test("a row marks a disk with unknown volumes", async ({ page, demo }) => {
    const vm = pick(await vms(demo), ({ usage }) => usage.diskKnown > 0 && usage.diskKnown < usage.diskVolumes);
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 900 });
      await page.goto(`/?view=table&q=${vm.name}&namespace=${vm.namespace}`);
      const row = rows(page).filter({ has: page.locator(`a[href="${address(vm)}"]`) });
      await expect(row.getByRole("meter", { name: "Disk" })).toBeVisible();
      const [mark, percent] = [row.getByRole("link", { name: /^Disk: \d+ of \d+ volumes unknown/ }), row.getByRole("meter", { name: "Disk" }).locator(".pct")];
      const [markBox, percentBox] = [(await mark.boundingBox())!, (await percent.boundingBox())!];
      expect(markBox.x >= percentBox.x + percentBox.width - 1 || markBox.y >= percentBox.y + percentBox.height - 1, `apart from the percent at ${width} px`).toBe(true);
      await mark.click();
      await expect(page).toHaveURL(`${address(vm)}#why`);
      await expect(page.getByRole("heading", { name: "Why is this unknown?" })).toBeInViewport();
    }
  });

  test("the attention filter lists as many VMs as it counts", async ({ page, demo }) => {
    await page.goto("/");
    const filter = form(page).getByRole("combobox", { name: "Attention" });
    const count = Number((await filter.locator("option[value='1']").innerText()).replace(/\D/g, ""));
    expect(count).toBeGreaterThan(0);
    await interactive(page);
    await filter.selectOption("1");
    await apply(page);
    await expect(page).toHaveURL(/attention=1/);
    await expect(form(page).getByRole("status")).toContainText(`of ${count}`);
    const all = await vms(demo);
    const broken = all.filter((vm) => vm.status === "Error" || (vm.status === "Running" && vm.usage.disk.missing));
    expect(count).toBeGreaterThanOrEqual(broken.filter((vm) => (vm.usage.disk.missing?.reason ?? "") !== "no-volumes").length);
    expect(count).toBeLessThan(all.length);
  });

  test("the list sorts by used memory within a namespace", async ({ page, demo }) => {
    const { namespace } = pick(await vms(demo), (vm) => !!vm.metrics);
    await page.goto("/");
    await interactive(page);
    await form(page).getByRole("combobox", { name: "Namespace" }).selectOption(namespace);
    await form(page).getByRole("combobox", { name: "Sort" }).selectOption({ label: "Memory used" });
    await apply(page);
    await expect(page).toHaveURL(/sort=memory-used/);
    const used = await cards(page).getByRole("meter", { name: "Memory" }).evaluateAll((meters) =>
      meters.map((meter) => Number.parseFloat((meter.getAttribute("aria-valuetext") ?? "").replaceAll(",", ""))));
    expect(used.length).toBeGreaterThan(1);
    expect(used).toEqual([...used].sort((a, b) => b - a));
  });

  test("an empty table names the filters, and clearing them keeps the view", async ({ page }) => {
    await page.goto("/?q=kafak&status=Running&view=table");
    const empty = page.locator(".empty");
    await expect(empty).toContainText("No VM matches.");
    await expect(empty).toContainText("Text “kafak”, Status “Running”");
    await expect(table(page)).toBeHidden();
    await empty.getByRole("link", { name: "Clear the filters" }).click();
    await expect(page).toHaveURL(/\/\?view=table$/);
    await expect(rows(page)).toHaveCount(50);
  });

  test("the downloads contain all pages of the list", async ({ page, request, demo }) => {
    await page.goto("/?status=Stopped&sort=node&page=1&view=table");
    const all = (await vms(demo)).filter((vm) => vm.status === "Stopped");
    const csv = page.getByRole("link", { name: "CSV" });
    await expect(csv).toHaveAttribute("download");
    const text = await (await request.get((await csv.getAttribute("href"))!)).text();
    expect(text.trim().split("\r\n")).toHaveLength(all.length + 1);
    const json = await request.get((await page.getByRole("link", { name: "JSON" }).getAttribute("href"))!);
    expect((await json.json() as Vm[]).map((vm) => vm.name).sort()).toEqual(all.map((vm) => vm.name).sort());
  });

  test("the table fits every width and always shows names and figures", async ({ page }) => {
    await page.goto("/?view=table&sort=cpu");
    for (const width of [360, 390, 720, 1080, 1440, 1920, 2560]) {
      await page.setViewportSize({ width, height: 900 });
      expect.soft(await horizontalOverflow(page), `${width} px`).toBeLessThanOrEqual(0);
      const figures = ["CPU", "Memory", "Disk"];
      const row = figures.reduce((rows, name) => rows.filter({ has: page.getByRole("meter", { name }) }), rows(page)).first();
      await expect(row.getByRole("meter")).toHaveCount(3);
      for (const meter of await row.locator(".pct").all()) await expect(meter).toBeVisible();
      // Each figure is below its heading. The list moves when what needs attention above it changes, but not to the side.
      for (const name of figures) {
        const [above, below] = [await head(page, name).boundingBox(), await row.getByRole("meter", { name }).boundingBox()];
        expect(below!.x + below!.width / 2, `${name} at ${width} px`).toBeGreaterThan(above!.x - 2);
        expect(below!.x + below!.width / 2, `${name} at ${width} px`).toBeLessThan(above!.x + above!.width + 2);
      }
      const tops = await page.locator(".vms thead th").evaluateAll((heads) =>
        heads.map((head) => head.getBoundingClientRect()).filter((box) => box.width > 0).map((box) => box.top));
      expect(Math.max(...tops) - Math.min(...tops), `headings at ${width} px`).toBeLessThan(12);
    }
  });

  test("the bars of a column have the same length", async ({ page }) => {
    for (const number of [1, 2, 3]) {
      await page.goto(`/?view=table&page=${number}`);
      for (const width of [390, 1080, 1401, 1440, 1601, 2560]) {
        await page.setViewportSize({ width, height: 900 });
        for (const name of ["CPU", "Memory", "Disk"]) {
          const lengths = await rows(page).getByRole("meter", { name }).locator(".bar").evaluateAll((bars) =>
            bars.filter((bar) => !bar.closest(".over")).map((bar) => Math.round(bar.getBoundingClientRect().width)));
          expect(new Set(lengths).size, `${name}, page ${number}, ${width} px: ${lengths}`).toBe(1);
        }
      }
    }
  });
});

test.describe("with a script", { tag: "@script" }, () => {
  test("hydration of the table keeps the server's nodes", async ({ page }) => {
    let release = () => {};
    const held = new Promise<void>((resolve) => { release = resolve; });
    await page.route(/\/pkg\/.*\.wasm/, async (route) => { await held; await route.continue(); });
    await page.route(/\/api\/events/, () => {});
    await page.goto("/?view=table&sort=cpu", { waitUntil: "commit" });
    await page.waitForLoadState("domcontentloaded");
    const nodes = page.locator("header, main, main *");
    await nodes.evaluateAll((all) => all.forEach((node) => Object.assign(node, { marked: true })));
    const before = await nodes.count();
    release();
    await hydrated(page);
    const kept = await nodes.evaluateAll((all) => all.filter((node) => "marked" in node).length);
    expect(kept).toBe(before);
  });

  test("the table's code is fetched on demand, without a page load", async ({ page }) => {
    const wasm: string[] = [];
    page.on("request", (request) => { if (request.url().endsWith(".wasm")) wasm.push(request.url()); });
    await open(page, "/");
    expect(wasm).toHaveLength(1);
    await page.evaluate(() => Object.assign(window, { here: true }));
    await view(page, "Table").click();
    await expect(rows(page)).toHaveCount(50);
    expect(wasm.length).toBeGreaterThan(1);
    await page.goBack();
    await expect(cards(page)).toHaveCount(50);
    await page.goForward();
    await expect(rows(page)).toHaveCount(50);
    expect(await page.evaluate(() => "here" in window)).toBe(true);
  });

  test("typing filters the list and makes one history entry", async ({ page, demo }) => {
    const vm = pick(await vms(demo), (vm) => vm.name.length > 5);
    await open(page, "/");
    const field = form(page).getByRole("searchbox");
    await field.pressSequentially(vm.name.slice(0, 3), { delay: 20 });
    await expect(page).toHaveURL(new RegExp(`q=${vm.name.slice(0, 3)}$`));
    await field.pressSequentially(vm.name.slice(3), { delay: 20 });
    await expect(page).toHaveURL(new RegExp(`q=${vm.name}$`));
    await expect(field).toBeFocused();
    await expect(field).toHaveValue(vm.name);
    await page.goBack();
    await expect(page).toHaveURL(/\/$/);
    await expect(field).toHaveValue("");
    await expect(cards(page)).toHaveCount(50);
  });

  test("hydration and the first events keep text that was typed before", async ({ page }) => {
    let release = () => {};
    const held = new Promise<void>((resolve) => { release = resolve; });
    await page.route(/\/pkg\/.*\.wasm/, async (route) => { await held; await route.continue(); });
    await page.goto("/", { waitUntil: "commit" });
    await page.waitForLoadState("domcontentloaded");
    const field = form(page).getByRole("searchbox");
    await field.pressSequentially("ana");
    release();
    await hydrated(page);
    await page.waitForTimeout(1_000);
    await expect(field).toHaveValue("ana");
  });

  test("a choice is applied at once, and Back undoes it", async ({ page }) => {
    await open(page, "/");
    const status = form(page).getByRole("combobox", { name: "Status" });
    await status.selectOption("Stopped");
    await expect(page).toHaveURL(/status=Stopped/);
    const counts = page.getByRole("list", { name: "VMs by state" });
    await expect(counts.getByRole("link", { name: /^Stopped/ })).toHaveAttribute("aria-current", "true");
    const attention = form(page).getByRole("combobox", { name: "Attention" });
    await attention.selectOption("1");
    await expect(page).toHaveURL(/attention=1/);
    await page.goBack();
    await expect(attention).toHaveValue("");
    await page.goBack();
    await expect(status).toHaveValue("");
  });

  for (const [name, path] of [["cards", "/"], ["rows", "/?view=table"]] as const) {
    test(`the keyboard finds, selects and opens ${name}`, async ({ page }) => {
      await open(page, path);
      const items = page.locator(".cards h3 a, .vms tbody th a");
      const names = await items.allInnerTexts();
      await page.keyboard.press("/");
      const field = form(page).getByRole("searchbox");
      await expect(field).toBeFocused();
      await page.keyboard.type("/?");
      await expect(field, "shortcuts are ordinary characters in a field").toHaveValue("/?");
      await field.fill("");
      await expect(items).toHaveCount(50);
      await field.press("ArrowDown");
      await expect(items.nth(0)).toBeFocused();
      await page.keyboard.press("ArrowDown");
      const columns = await items.evaluateAll((all) =>
        all.filter((it) => it.getBoundingClientRect().top === all[0].getBoundingClientRect().top).length);
      await expect(items.nth(columns)).toBeFocused();
      await page.keyboard.press("ArrowUp");
      await page.keyboard.press("End");
      await expect(items.nth(49)).toBeFocused();
      await page.keyboard.press("Home");
      await page.keyboard.press("ArrowRight");
      await expect(items.nth(1)).toBeFocused();
      await page.keyboard.press("Enter");
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(names[1]);
    });
  }

  test("the search of the bar suggests names from the server, and opens the one that is chosen", async ({ page }) => {
    await open(page, "/");
    const field = page.locator(".search input");
    const options = page.locator("#suggestions option");
    const values = () => options.evaluateAll((all) => all.map((it) => (it as HTMLOptionElement).value));
    await field.pressSequentially("orders-worker-0");
    await expect.poll(values).toContain("shop/orders-worker-05");
    // The list belongs to the browser, which tells of a choice like this.
    const choose = (value: string) => field.evaluate((input: HTMLInputElement, value) => {
      input.value = value;
      input.dispatchEvent(new InputEvent("input", { bubbles: true, inputType: "insertReplacementText" }));
    }, value);
    await choose("shop/orders-worker-05");
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("orders-worker-05");
    await expect(field).toHaveValue("");
    await field.fill("worker-01");
    await expect.poll(values).toContain("worker-01");
    await expect(options.filter({ hasText: "Node" }).first()).toHaveAttribute("value", "worker-01");
    await choose("worker-01");
    await expect(page).toHaveURL(/\/nodes\/worker-01$/);
    await field.fill("monitoring");
    await expect.poll(values).toContain("monitoring");
    await field.press("Enter");
    await expect(page).toHaveURL(/\/\?namespace=monitoring$/);
  });

  test("a text that no name is leads to the list", async ({ page }) => {
    await open(page, "/insights");
    const field = page.locator(".search input");
    await field.fill("orders");
    await expect(page.locator("#suggestions option")).not.toHaveCount(0);
    await field.press("Enter");
    await expect(page).toHaveURL(/\/\?q=orders$/);
  });

  test("a delayed search does not replace a page that was opened meanwhile", async ({ page }) => {
    await open(page, "/");
    let requested = false;
    await page.route(/\/pkg\/.*split.*\.wasm/, async (route) => {
      requested = true;
      await new Promise((resolve) => setTimeout(resolve, 800)); // longer than the delay of a search
      await route.continue();
    });
    const first = cards(page).first().getByRole("heading").getByRole("link");
    const name = await first.innerText();
    await form(page).getByRole("searchbox").pressSequentially("ab");
    await first.evaluate((link: HTMLElement) => link.click());
    await expect(page.getByRole("heading", { level: 1 })).toHaveText(name);
    await expect(page).toHaveURL(/\/vms\//);
    await expect.poll(() => requested, { message: "the page's code is fetched on demand" }).toBe(true);
  });

  test("? shows the shortcuts, Esc closes them, and they can be turned off", async ({ page }) => {
    await open(page, "/");
    const dialog = page.getByRole("dialog", { name: "Keyboard shortcuts" });
    await expect(dialog).toBeHidden();
    await page.keyboard.press("?");
    await expect(dialog).toBeVisible();
    const { violations } = await new AxeBuilder({ page }).include("#keys").analyze();
    expect(violations).toEqual([]);
    await page.keyboard.press("Escape");
    await expect(dialog).toBeHidden();
    await page.getByRole("button", { name: /^Keyboard/ }).click();
    await dialog.getByRole("checkbox").uncheck();
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.keyboard.press("?");
    await page.keyboard.press("/");
    await expect(dialog).toBeHidden();
    await expect(form(page).getByRole("searchbox")).not.toBeFocused();
  });

  test("the copy button copies the command and announces it", async ({ page, context, demo }) => {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const vm = pick(await vms(demo), (vm) => !!vm.metrics);
    await open(page, address(vm));
    await page.getByRole("button", { name: "Copy" }).last().click();
    await expect(page.locator("#announcement")).toHaveText("Copied");
    expect(await page.evaluate(() => navigator.clipboard.readText())).toContain(`kubectl -n ${vm.namespace} get `);
  });

  test("axe finds no violations in the table, in either theme", async ({ page }) => {
    test.setTimeout(120_000);
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      await page.goto("/?view=table&sort=cpu");
      await page.getByText("Columns", { exact: true }).click();
      const { violations } = await new AxeBuilder({ page }).analyze();
      const found = violations.map((v) => `${v.id}: ${v.help}; ${v.nodes.slice(0, 3).map((node) => node.target).join(" | ")}`);
      expect.soft(found, colorScheme).toEqual([]);
    }
  });

  test("the print layout shows figures and hides controls", async ({ page }) => {
    await open(page, "/?view=table");
    await page.emulateMedia({ media: "print" });
    await expect(rows(page).first()).toBeVisible();
    for (const control of [view(page, "Table"), page.getByRole("button", { name: /^Keyboard/ }), form(page).getByRole("searchbox")]) {
      await expect(control).toBeHidden();
    }
  });
});

function pick(all: Vm[], wanted: (vm: Vm) => boolean): Vm {
  const vm = all.find(wanted);
  if (!vm) throw new Error("the demo has no such VM");
  return vm;
}
