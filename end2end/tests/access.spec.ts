// Everybody can use it: WCAG AA in both themes, the keyboard alone, calm for those who ask for calm, any width.
import { address, card, cards, expect, open, sideways, test, violations, vms, type Vm } from "./fixtures";

const WIDTHS = [360, 390, 720, 1080, 1440, 1920, 2560];

/** One of each kind of page, with the troubles that the demo has. */
function pages(all: Vm[]): string[] {
  const healthy = all.find((vm) => vm.metrics && !vm.usage.disk.missing)!;
  const troubled = all.find((vm) => vm.status === "Running" && vm.usage.disk.missing)!;
  const off = all.find((vm) => vm.status === "Stopped")!;
  return ["/", "/?status=Error", "/?q=no-such-machine", "/insights", "/sources", "/vms/no/such", ...[healthy, troubled, off].map(address)];
}

for (const scheme of ["light", "dark"] as const) {
  test.describe(`in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test("axe finds nothing on any page", async ({ page, demo }) => {
      test.setTimeout(120_000);
      for (const path of pages(await vms(demo))) {
        await page.goto(path);
        expect.soft(await violations(page), path).toEqual([]);
      }
    });
  });
}

test("no page scrolls sideways, from 360 to 2560 px", async ({ page, demo }) => {
  test.setTimeout(120_000);
  for (const path of pages(await vms(demo))) {
    await page.goto(path);
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 900 });
      expect.soft(await sideways(page), `${path} at ${width} px`).toBeLessThanOrEqual(0);
    }
  }
});

test("the first key leads past the bar, and the form works from the keyboard", async ({ page }) => {
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

test("a meter tells a screen reader all of itself once", async ({ page, demo }) => {
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

test("those who ask for less motion get none", async ({ page }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  await open(page, "/");
  const moving = await page.evaluate(() => document.getAnimations().filter((animation) => animation.playState === "running").length);
  expect(moving).toBe(0);
});
