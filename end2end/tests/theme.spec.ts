// Light and dark theme: the system's choice, or the one that was chosen and stored.
import { expect, open, test } from "./fixtures";
import type { Page } from "@playwright/test";

const brightness = (page: Page) => page.evaluate(() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d")!;
  canvas.fillStyle = getComputedStyle(document.body).backgroundColor;
  canvas.fillRect(0, 0, 1, 1);
  return canvas.getImageData(0, 0, 1, 1).data[0];
});

for (const scheme of ["light", "dark"] as const) {
  test.describe(`a system in ${scheme}`, () => {
    test.use({ colorScheme: scheme });

    test("is followed until another theme is chosen, which is remembered", async ({ page }) => {
      const isDark = async () => await brightness(page) < 128;
      await open(page, "/");
      expect(await isDark()).toBe(scheme === "dark");
      await page.getByRole("button", { name: /light and dark/ }).click();
      expect(await isDark()).toBe(scheme === "light");
      await page.reload();
      expect(await isDark(), "before hydration").toBe(scheme === "light");
      await open(page, "/sources");
      expect(await isDark()).toBe(scheme === "light");
    });
  });
}
