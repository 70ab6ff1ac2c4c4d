// 30 VMs: all on one page.
import { demoOf, everywhere } from "./everywhere";
import { cards, expect } from "./fixtures";

const few = demoOf("--vms", "30");

few("30 VMs are one page", async ({ page }) => {
  await page.goto("/");
  await expect(cards(page)).toHaveCount(30);
  await expect(page.getByRole("navigation", { name: "Result pages" })).toHaveCount(0);
});

everywhere(few);
