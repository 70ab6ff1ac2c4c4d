// Signing in at an OpenID Connect provider, as browsers really apply cookies, policies and referrers: the program at 127.0.0.1, and
// npm's oidc-provider at localhost, which is another site.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Page } from "@playwright/test";
import { startProgram } from "../program.mjs";
import { expect, PROGRAM, test as base } from "./fixtures";

const DEEP = "/?view=table&namespace=shop&sort=name";
const ANA = "ana.ruiz+payments-devs";

/** A port that was free a moment ago: both sides must know the other's address before they start. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function startProvider(issuer: string, home: string) {
  const child = spawn(process.execPath, ["provider.mjs", issuer, home], { stdio: ["ignore", "pipe", "inherit"] });
  await once(createInterface({ input: child.stdout }), "line");
  return child;
}

const test = base.extend<object, { demo: { url: string } }>({
  demo: [async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), "wukong-"));
    const [kubeconfig, secret] = [join(folder, "kubeconfig"), join(folder, "secret")];
    await writeFile(secret, "a secret of the tests\n");
    const port = await freePort();
    const [issuer, home] = [`http://localhost:${await freePort()}`, `http://127.0.0.1:${port}`];
    const provider = await startProvider(issuer, home);
    const sim = await startProgram(PROGRAM, ["sim", "--vms", "60", "--nodes", "4", "--seed", "1", "--kubeconfig-out", kubeconfig]);
    const server = await startProgram(PROGRAM, [
      "--kubeconfig", kubeconfig, "--sign-in", "oidc", "--public-url", home,
      "--oidc-issuer", issuer, "--oidc-client-id", "vms", "--oidc-client-secret-file", secret, "--oidc-scopes", "profile,email,groups",
      "--oidc-username-claim", "email", "--oidc-username-prefix", "-", "--oidc-groups-prefix", "-",
    ], { port });
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 60_000 }).toBe(200);
    await use(server);
    provider.kill();
    await Promise.all([server.stop(), sim.stop()]);
  }, { scope: "worker", timeout: 90_000 }],
});

// Pages of the provider are another site's.
test.use({ allowFaults: true });

const link = (page: Page) => page.getByRole("link", { name: /^Continue to localhost:/ });
const menu = (page: Page) => page.getByRole("banner").locator("details.user");

async function signIn(page: Page, login: string) {
  await link(page).click();
  await page.locator("[name=login]").fill(login);
  await page.locator("[name=password]").fill("x");
  await page.locator("[type=submit]").click();
}

for (const javaScriptEnabled of [true, false]) {
  test.describe(javaScriptEnabled ? "with a script" : "without a script", () => {
    test.use({ javaScriptEnabled });

    test("a deep link leads through the provider and back", async ({ page, context, demo }) => {
      const referrers: string[] = [];
      page.on("request", (request) => {
        if (new URL(request.url()).origin !== demo.url && request.url().includes("/auth?")) referrers.push(request.headers().referer ?? "");
      });
      await page.goto(DEEP);
      await expect(page).toHaveURL(/\/auth\/sign-in\?next=/);
      await expect(page.getByLabel("Kubernetes token")).toHaveCount(0);
      await signIn(page, ANA);
      await expect(page).toHaveURL((url) => url.origin + url.pathname + url.search === demo.url + DEEP);
      await expect(page.getByRole("table").first()).toContainText("shop");
      await expect(page.locator("body")).not.toContainText("monitoring");
      expect(referrers).toEqual([""]);
      const own = (await context.cookies(demo.url)).filter(({ name }) => name.startsWith("wukong-"));
      expect(own.map(({ name, httpOnly, sameSite, path }) => ({ name, httpOnly, sameSite, path }))).toEqual([
        { name: "wukong-session-0", httpOnly: true, sameSite: "Lax", path: "/" },
      ]);
    });

    test("a sign-out leads to the provider's, and back", async ({ page }) => {
      await page.goto("/sources");
      await signIn(page, ANA);
      await expect(page).toHaveURL(/\/sources$/);
      await menu(page).locator("summary").click();
      await menu(page).getByRole("button", { name: "Sign out" }).click();
      await page.getByRole("button", { name: /yes/i }).click();
      await expect(page).toHaveURL(/127\.0\.0\.1:\d+\/auth\/sign-in\?signed-out=1$/);
      await expect(page.getByRole("main")).toContainText("You are signed out.");
      await page.goto("/sources");
      await link(page).click();
      await expect(page.locator("[name=login]")).toBeVisible(); // the provider knows nobody any more
    });
  });
}

test("an identity is renewed without a question, until the provider wants to ask one", async ({ page, context, demo }) => {
  await page.goto("/");
  await signIn(page, ANA);
  await expect(menu(page)).toContainText("payments-devs");
  const renew = Number(await menu(page).getAttribute("data-renew"));
  expect(renew).toBeGreaterThan(3_500);
  expect(renew).toBeLessThanOrEqual(3_600);
  await page.goto("/auth/oidc?renew=&next=%2Fgroups");
  await expect(page).toHaveURL(`${demo.url}/groups`);
  await expect(menu(page)).toBeVisible();
  await context.clearCookies({ domain: "localhost" });
  await page.goto("/auth/oidc?renew=&next=%2Fgroups");
  await expect(page).toHaveURL(/\/auth\/sign-in\?next=%2Fgroups&ended=1$/);
  expect((await context.cookies(demo.url)).filter(({ name }) => name.startsWith("wukong-"))).toEqual([]);
});

test("tabs that sign in at once all arrive", async ({ context, demo }) => {
  const tabs = await Promise.all([0, 1, 2].map(() => context.newPage()));
  for (const [at, tab] of tabs.entries()) await tab.goto(`${demo.url}/?q=tab-${at}`);
  await Promise.all(tabs.map(async (tab) => { await link(tab).click(); await tab.locator("[name=login]").waitFor(); }));
  for (const [at, tab] of tabs.entries()) {
    await tab.locator("[name=login]").fill(ANA);
    await tab.locator("[name=password]").fill("x");
    await tab.locator("[type=submit]").click();
    await expect(tab).toHaveURL(`${demo.url}/?q=tab-${at}`);
  }
});
