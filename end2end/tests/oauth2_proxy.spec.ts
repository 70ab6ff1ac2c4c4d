// Behind a real oauth2-proxy, which signs people in at npm's oidc-provider and passes their ID token, with the configuration of
// docs/sign-in.md.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Page } from "@playwright/test";
import { freePort } from "../nginx.mjs";
import { startOauth2Proxy } from "../oauth2-proxy.mjs";
import { startProgram } from "../program.mjs";
import { cards, expect, freshness, hydrated, PROGRAM, test as base, type Server } from "./fixtures";

const PROXY = process.env.WUKONG_OAUTH2_PROXY ?? "oauth2-proxy";
const ANA = "ana.ruiz+payments-devs";

type Site = Server & { direct: string };

const test = base.extend<object, { site: Site; demo: Server }>({
  site: [async ({}, use) => {
    const kubeconfig = join(await mkdtemp(join(tmpdir(), "wukong-")), "kubeconfig");
    const [home, issuer] = [`http://127.0.0.1:${await freePort()}`, `http://localhost:${await freePort()}`];
    const provider = spawn(process.execPath, ["provider.mjs", issuer, home], { stdio: ["ignore", "pipe", "inherit"] });
    await once(createInterface({ input: provider.stdout }), "line");
    const sim = await startProgram(PROGRAM, ["sim", "--vms", "60", "--nodes", "4", "--seed", "1", "--kubeconfig-out", kubeconfig]);
    const server = await startProgram(PROGRAM, [
      "--kubeconfig", kubeconfig, "--sign-in", "proxy", "--public-url", home, "--proxy-issuer", issuer, "--proxy-audience", "vms",
      "--proxy-username-claim", "email", "--proxy-username-prefix", "-", "--proxy-groups-prefix", "-",
      "--proxy-sign-out-url", `${home}/oauth2/sign_out?rd=%2F`, "--metrics-interval", "2s", "--disk-interval", "2s",
    ]);
    const proxy = await startOauth2Proxy(PROXY, { home, issuer, upstream: server.url });
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 60_000 }).toBe(200);
    await use({ url: home, direct: server.url });
    provider.kill();
    await Promise.all([proxy.stop(), server.stop(), sim.stop()]);
  }, { scope: "worker", timeout: 90_000 }],
  demo: [async ({ site }, use) => use(site), { scope: "worker" }],
});

// Pages of the provider are another site's.
test.use({ allowFaults: true });

const menu = (page: Page) => page.getByRole("banner").locator("details.user");
const figures = (page: Page) =>
  cards(page).getByRole("meter").evaluateAll((meters) => meters.map((meter) => meter.getAttribute("aria-valuetext")).join());

async function signIn(page: Page, address: string) {
  await page.goto(address);
  await page.getByRole("button", { name: /Sign in with/ }).click();
  await page.locator("[name=login]").fill(ANA);
  await page.locator("[name=password]").fill("x");
  await page.locator("[type=submit]").click();
}

test("a person signs in at the proxy, sees their own VMs change, and has no session here", async ({ page, context, site }) => {
  await signIn(page, "/?namespace=shop&sort=name");
  await expect(page).toHaveURL(`${site.url}/?namespace=shop&sort=name`);
  await hydrated(page);
  await expect(menu(page)).toContainText("ana.ruiz");
  await menu(page).locator("summary").click();
  await expect(menu(page)).toContainText("payments-devs");
  await expect(menu(page)).toContainText("Signed in by the proxy in front of the dashboard.");
  await expect(page.locator("body")).not.toContainText("monitoring");
  const before = await figures(page);
  await expect.poll(() => figures(page), { timeout: 20_000, message: "an event changes figures" }).not.toBe(before);
  expect((await context.cookies(site.url)).filter(({ name }) => name.includes("wukong"))).toEqual([]);
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Sources" }).click();
  await expect(freshness(page)).toHaveText(/^live$/i);
});

test("events arrive one by one through the proxy", async ({ page }) => {
  await signIn(page, "/sources");
  await expect(menu(page)).toBeVisible();
  const times = await page.evaluate(async () => {
    const begun = Date.now(), times: number[] = [];
    const reader = (await fetch("/api/events")).body!.getReader();
    for (let text = ""; times.length < 3;) {
      const { value, done } = await reader.read();
      if (done) break;
      text += new TextDecoder().decode(value);
      const events = text.split(/^event: /m).length - 1;
      while (times.length < events) times.push(Date.now() - begun);
    }
    await reader.cancel();
    return times;
  });
  expect(times[0]).toBeLessThan(5_000);
  // Figures change every 2 s; a buffer would hold dozens of events back.
  expect(times[2]).toBeLessThan(20_000);
});

test("a sign-out leads to the proxy's, and the page before is gone", async ({ page, site }) => {
  await signIn(page, "/sources");
  await expect(page).toHaveURL(`${site.url}/sources`);
  await menu(page).locator("summary").click();
  await menu(page).getByRole("button", { name: "Sign out" }).click();
  await expect(page.getByRole("button", { name: /Sign in with/ })).toBeVisible();
  await page.goto("/sources");
  await expect(page.getByRole("button", { name: /Sign in with/ })).toBeVisible();
});

test("a sign-out in another tab ends the page, although the proxy answers for the dashboard", async ({ page, context }) => {
  test.setTimeout(120_000);
  await signIn(page, "/?namespace=shop");
  await hydrated(page);
  const other = await context.newPage();
  await other.goto("/sources");
  await menu(other).locator("summary").click();
  await menu(other).getByRole("button", { name: "Sign out" }).click();
  await expect(other.getByRole("button", { name: /Sign in with/ })).toBeVisible();
  // What makes a page ask again. By itself its stream goes on until a minute after its assertion.
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await expect(freshness(page)).toHaveText("stopped", { timeout: 90_000 });
  await expect(page.getByText("Your session has ended.")).toBeVisible();
  await expect(cards(page).first()).toBeAttached();
  await expect(page.locator("main")).toHaveJSProperty("inert", true);
  const requests: string[] = [];
  page.on("request", (request) => requests.push(request.url()));
  await page.evaluate(() => dispatchEvent(new Event("online")));
  await page.waitForTimeout(7_000);
  expect(requests).toEqual([]);
  await page.getByRole("link", { name: "Sign in again" }).click();
  await expect(page.getByRole("button", { name: /Sign in with/ })).toBeVisible();
});

test("the program itself believes no header, and the proxy passes none of a client's", async ({ page, context, site }) => {
  await signIn(page, "/");
  await expect(menu(page)).toBeVisible();
  const forged = { "x-forwarded-user": "admin", "x-forwarded-email": "admin", "x-forwarded-groups": "ops", authorization: "Bearer e30.e30.x" };
  for (const [at, status] of [["/api/vms", 401], ["/healthz", 200], ["/readyz", 200]] as const) {
    expect((await fetch(site.direct + at, { headers: forged })).status, at).toBe(status);
  }
  const away = await fetch(`${site.direct}/`, { headers: { ...forged, authorization: "" } });
  expect([away.status, await away.text()]).toEqual([403, expect.stringContaining("did not come through the authenticating proxy")]);
  // As Ana, whatever else the browser says.
  const own = await context.request.get(`${site.url}/api/vms`, { headers: forged });
  expect(own.status()).toBe(200);
  const seen = new Set((await own.json()).map(({ namespace }: { namespace: string }) => namespace));
  expect([...seen]).not.toContain("monitoring");
  // Nobody is led to a page that a program cannot read.
  expect((await fetch(`${site.url}/api/vms`, { redirect: "manual" })).status).toBe(401);
});
