// 30 VMs, which fit on one page.
import { demoOf, everywhere } from "./everywhere";
import { cards, expect } from "./fixtures";

const few = demoOf("--vms", "30");

few("30 VMs are on one page", async ({ page }) => {
  await page.goto("/");
  await expect(cards(page)).toHaveCount(30);
  await expect(page.getByRole("navigation", { name: "Result pages" })).toHaveCount(0);
});

everywhere(few);
