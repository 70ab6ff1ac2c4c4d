// Signing in by a token: the program on the simulated API server, whose users are in crates/simulator/src/users.rs.
// What must work without JavaScript runs in both ways.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext, Page } from "@playwright/test";
import { startProgram } from "../program.mjs";
import { cards, expect, freshness, horizontalOverflow, hydrated, PROGRAM, test as base, violations, type Vm } from "./fixtures";

const WIDTHS = [390, 1440, 2560];
const DEEP = "/?view=table&namespace=shop&sort=name";

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

/** Sessions of this worker's server: signing in is limited, so that most tests share one for each token. */
const sessions = new Map<string, Awaited<ReturnType<BrowserContext["cookies"]>>>();

const test = base.extend<object, { demo: { url: string } }>({
  demo: [async ({}, use) => {
    const kubeconfig = join(await mkdtemp(join(tmpdir(), "wukong-")), "kubeconfig");
    const sim = await startProgram(PROGRAM, ["sim", "--vms", "60", "--nodes", "4", "--seed", "1", "--kubeconfig-out", kubeconfig]);
    const server = await startProgram(PROGRAM, ["--kubeconfig", kubeconfig, "--sign-in", "token"]);
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 60_000 }).toBe(200);
    await use(server);
    await Promise.all([server.stop(), sim.stop()]);
  }, { scope: "worker", timeout: 90_000 }],
});

const token = (page: Page) => page.getByLabel("Kubernetes token");
const menu = (page: Page) => page.getByRole("banner").locator("details.user");

async function signIn(page: Page, text: string) {
  await token(page).fill(text);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** Gives the page the session of a user. */
async function as(page: Page, user: string) {
  const known = sessions.get(user);
  if (known) return await page.context().addCookies(known);
  await page.context().clearCookies();
  await page.goto("/auth/sign-in");
  await signIn(page, user);
  await expect(menu(page)).toBeVisible();
  sessions.set(user, await page.context().cookies());
}

const signOut = async (page: Page) => {
  await menu(page).locator("summary").click();
  await menu(page).getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL(/\/auth\/sign-in/);
};

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with a script" : "without a script", () => {
    test.use({ javaScriptEnabled });

    test("a deep link leads through the sign-in and back", async ({ page }) => {
      await page.goto(DEEP);
      await expect(page).toHaveURL(/\/auth\/sign-in\?next=/);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(/^Sign in to /);
      await expect(token(page)).toBeFocused();
      await signIn(page, "ana-token");
      await expect(page).toHaveURL((url) => url.pathname + url.search === DEEP);
      await expect(page.getByRole("table").first()).toContainText("shop");
      await expect(page.locator("body")).not.toContainText("monitoring");
    });

    test("a wrong token is said at its field, and the place to go to is kept", async ({ page }) => {
      await page.goto("/sources");
      await signIn(page, "wrong");
      await expect(token(page)).toHaveAttribute("aria-invalid", "true");
      await expect(token(page)).toHaveAccessibleDescription(/does not accept this token/);
      await expect(token(page)).toBeFocused();
      await signIn(page, "ana-token");
      await expect(page).toHaveURL(/\/sources$/);
    });

    test("after sign-out the back button shows nothing", async ({ page }) => {
      await page.goto("/auth/sign-in");
      await signIn(page, "ana-token");
      await page.goto("/sources");
      await signOut(page);
      await expect(page.getByRole("main")).toContainText("You are signed out.");
      for (let step = 0; step < 3; step += 1) {
        await page.goBack({ waitUntil: "commit" });
        await expect(token(page)).toBeVisible();
        await expect(page.locator("body")).not.toContainText(/payments|metrics\.k8s\.io/);
      }
    });

    test("the menu names the user and what they see", async ({ page }) => {
      await as(page, "ana-token");
      await page.goto("/");
      await expect(menu(page).locator("form")).toBeHidden();
      await menu(page).locator("summary").focus();
      await page.keyboard.press("Enter");
      await expect(menu(page)).toContainText("ana.ruiz@example.com");
      await expect(menu(page)).toContainText("payments-devs, shop-ops");
      await expect(menu(page)).toContainText(/You see \d+ VMs in 2 namespaces: payments, shop\./);
      await page.keyboard.press("Tab");
      await expect(menu(page).getByRole("button", { name: "Sign out" })).toBeFocused();
      await expect(page.getByRole("heading", { name: "Totals of the VMs that you can see" })).toBeVisible();
    });

    test("who may see nothing is told what an administrator does", async ({ page }) => {
      await as(page, "noor-token");
      await page.goto("/");
      const note = page.getByRole("region", { name: "You have no permission to see VMs yet" });
      await expect(note).toContainText("noor.o'brien@example.com");
      await expect(note.locator("code")).toContainText(String.raw`--user='noor.o'\''brien@example.com'`);
      await expect(note.locator("code")).toContainText("--group=interns");
      await expect(page.getByText("No virtual machine")).toBeHidden();
      await page.goto("/sources");
      await expect(note).toBeHidden();
    });
  });
}

test.describe("the end of a session", () => {
  // The server answers 401.
  test.use({ allowFaults: true });

  /** Asserts that the page keeps its figures, greyed, and requests nothing any more. */
  async function ended(page: Page) {
    await expect(freshness(page)).toHaveText("stopped", { timeout: 90_000 });
    await expect(page.getByText("Your session has ended.")).toBeVisible();
    await expect(cards(page).first()).toBeAttached();
    await expect(page.locator("main")).toHaveJSProperty("inert", true);
    const requests: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    await page.evaluate(() => dispatchEvent(new Event("online"))); // what makes a page ask again
    await page.waitForTimeout(7_000);
    expect(requests).toEqual([]);
  }

  test("a token that expires ends the page's updates, and the bar leads to the sign-in and back", async ({ page }) => {
    test.setTimeout(180_000);
    await page.goto("/?namespace=shop");
    await signIn(page, `ana-token-until-${Math.ceil(Date.now() / 1000) + 4}`);
    await hydrated(page);
    await ended(page);
    await page.getByRole("link", { name: "Sign in again" }).click();
    await expect(page).toHaveURL(/\/auth\/sign-in\?next=%2F%3Fnamespace%3Dshop/);
    await signIn(page, "ana-token");
    await expect(page).toHaveURL(/\/\?namespace=shop$/);
    await hydrated(page);
  });

  test("a sign-out in another tab ends the page, whose links then lead to the sign-in", async ({ page, context }) => {
    await page.goto("/auth/sign-in");
    await signIn(page, "ana-token");
    await hydrated(page);
    const other = await context.newPage();
    await other.goto("/sources");
    await signOut(other);
    await ended(page);
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Nodes" }).click();
    await expect(page).toHaveURL(/\/auth\/sign-in\?next=%2Fgroups/);
    await page.goBack({ waitUntil: "commit" });
    await expect(token(page)).toBeVisible();
  });
});

test("a page loads again once another tab is of another user", async ({ page, context }) => {
  await as(page, "noor-token");
  await page.goto("/");
  await expect(menu(page)).toContainText("noor.o'brien");
  const other = await context.newPage();
  await other.goto("/");
  await as(other, "ana-token");
  await other.goto("/");
  await expect(menu(page)).toContainText("ana.ruiz");
  await expect(cards(page).first()).toBeVisible();
});

for (const colorScheme of ["light", "dark"] as const) {
  for (const locale of ["en", "zh-CN"]) {
    test.describe(`${colorScheme}, ${locale}`, () => {
      test.use({ colorScheme });

      test("every page of the sign-in fits, and axe finds no violations", async ({ page, context, demo }) => {
        test.setTimeout(180_000);
        for (const user of ["", "ana-token", "noor-token"]) {
          await context.clearCookies();
          if (user) await as(page, user);
          await context.addCookies([{ name: "lang", value: locale, url: demo.url }]);
          for (const path of user ? ["/", "/groups", "/sources"] : ["/auth/sign-in?ended=", "/auth/sign-in?signed-out="]) {
            await page.goto(path);
            await expect(page.locator("html")).toHaveAttribute("lang", locale);
            if (user) await menu(page).locator("summary").click();
            else await page.locator("details summary").click();
            for (const width of WIDTHS) {
              await page.setViewportSize({ width, height: 900 });
              expect.soft(await horizontalOverflow(page), `${user} ${path} at ${width} px`).toBeLessThanOrEqual(0);
            }
            expect.soft(await violations(page), `${user} ${path}`).toEqual([]);
          }
        }
      });
    });
  }
}

test("the language is chosen on the sign-in page, and the place to go to is kept", async ({ page }) => {
  await page.goto("/auth/sign-in?next=%2Fsources&ended=");
  await page.getByRole("navigation", { name: "Language" }).getByRole("link", { name: "中文" }).click();
  await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
  await expect(page.getByRole("main")).toContainText("您的会话已结束");
  await page.getByLabel("Kubernetes 令牌").fill("ana-token");
  await page.getByRole("button", { name: "登录" }).click();
  await expect(page).toHaveURL(/\/sources$/);
});

test("without the right to list nodes they are names", async ({ page, demo }) => {
  await as(page, "ana-token");
  await page.goto("/groups");
  await hydrated(page);
  await expect(page.getByText("Only the names of the nodes of the VMs that you can see are shown.")).toBeVisible();
  // What is allocated is an amount, not a share of what a node has.
  for (const cell of await page.locator("td[data-th$=allocated]").allInnerTexts()) expect(cell).toMatch(/^[\d.]+ (vCPU|Gi|Ti)\s*$/);
  await expect(page.locator("tbody th small")).toHaveCount(0);
  const all = await (await fetch(`${demo.url}/api/vms`, bearer("ana-token"))).json() as Vm[];
  expect(new Set(all.map((vm) => vm.namespace))).toEqual(new Set(["payments", "shop"]));
});
