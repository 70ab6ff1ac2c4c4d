// Accessibility: WCAG AA in both themes, use by keyboard alone, reduced motion, all window widths.
import { address, card, cards, expect, open, horizontalOverflow, test, violations, vms, type Vm } from "./fixtures";

const WIDTHS = [360, 390, 720, 1080, 1440, 1920, 2560];

/** One page of each kind, including VMs with problems. */
function pages(all: Vm[]): string[] {
  const healthy = all.find((vm) => vm.metrics && !vm.usage.disk.missing)!;
  const unknown = all.find((vm) => vm.status === "Running" && vm.usage.disk.missing)!;
  const off = all.find((vm) => vm.status === "Stopped")!;
  return ["/", "/?status=Error", "/?q=no-such-machine", "/insights", "/sources", "/vms/no/such", ...[healthy, unknown, off].map(address)];
}

for (const scheme of ["light", "dark"] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test("axe finds no violations", async ({ page, demo }) => {
      test.setTimeout(120_000);
      for (const path of pages(await vms(demo))) {
        await page.goto(path);
        expect.soft(await violations(page), path).toEqual([]);
      }
    });
  });
}

test("no page scrolls horizontally between 360 and 2560 px", async ({ page, demo }) => {
  test.setTimeout(120_000);
  for (const path of pages(await vms(demo))) {
    await page.goto(path);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      expect.soft(await horizontalOverflow(page), `${path} at ${width} px`).toBeLessThanOrEqual(0);
    }
  }
});

test("the skip link comes first, and the form works by keyboard", async ({ page }) => {
  await open(page, "/");
  await page.keyboard.press("Tab");
  const skip = page.getByRole("link", { name: "Skip to content" });
  await expect(skip).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/#main$/);
  await page.locator("form.filters").getByRole("searchbox").focus();
  await page.keyboard.type("no-such-machine");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/no-such-machine/);
  await expect(cards(page)).toHaveCount(0);
});

test("a meter has its value as text for screen readers", async ({ page, demo }) => {
  const vm = (await vms(demo)).find((vm) => vm.metrics && !vm.usage.disk.missing)!;
  await open(page, `/?q=${vm.name}&namespace=${vm.namespace}`);
  for (const name of ["CPU", "Memory", "Disk"]) {
    const meter = card(page, vm).getByRole("meter", { name });
    const now = Number(await meter.getAttribute("aria-valuenow"));
    const text = await meter.getAttribute("aria-valuetext") ?? "";
    expect(text).toMatch(/^\S+.* of .+, [\d,]+ %$/);
    expect(now).toBeGreaterThanOrEqual(0);
    expect(now).toBeLessThanOrEqual(100);
  }
});

test("nothing moves with reduced motion", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "/");
  const moving = await page.evaluate(() => document.getAnimations().filter((animation) => animation.playState === "running").length);
  expect(moving).toBe(0);
});
