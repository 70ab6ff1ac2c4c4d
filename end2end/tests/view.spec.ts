// The view of the list that somebody chooses is kept.
import type { Page } from "@playwright/test";
import { expect, hydrated, test } from "./fixtures";

const table = (page: Page) => page.getByRole("table", { name: "Virtual machines" });
const view = (page: Page, name: string) => page.getByRole("group", { name: "View" }).getByRole("button", { name });
const link = (page: Page, name: string) => page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name });

test("a chosen view is the default from then on", async ({ page }) => {
  await page.goto("/");
  await hydrated(page);
  await view(page, "Table").click();
  await expect(table(page)).toBeVisible();
  await page.goto("/");
  await expect(table(page)).toBeVisible();
  await hydrated(page);
  await expect(table(page)).toBeVisible();
  // From another page of the dashboard, too.
  await link(page, "Sources").click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Sources");
  await link(page, "VMs").click();
  await expect(table(page)).toBeVisible();
  // An address that names a view shows that one, and is no choice.
  await page.goto("/?view=map");
  await expect(page.locator(".map section").first()).toBeVisible();
  await page.goto("/");
  await expect(table(page)).toBeVisible();
});
