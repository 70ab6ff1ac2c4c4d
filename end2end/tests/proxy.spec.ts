// Behind a real nginx with TLS, below a path and at the root of its host, with the configuration of docs/sign-in.md.
import { request as get } from "node:https";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "@playwright/test";
import { freePort, startNginx } from "../nginx.mjs";
import { startProgram } from "../program.mjs";
import { cards, expect, hydrated, PROGRAM, test as base, type Server } from "./fixtures";

const FAST = ["--metrics-interval", "2s", "--disk-interval", "2s"];

type Site = { url: string; direct: string };

/** Tests with a server behind nginx at this path. */
const behind = (path: string) => base.extend<object, { site: Site; demo: Server }>({
  site: [async ({}, use) => {
    const kubeconfig = join(await mkdtemp(join(tmpdir(), "wukong-")), "kubeconfig");
    const sim = await startProgram(PROGRAM, ["sim", "--vms", "60", "--nodes", "4", "--seed", "1", "--kubeconfig-out", kubeconfig]);
    const port = await freePort();
    const server = await startProgram(PROGRAM, [
      "--kubeconfig", kubeconfig, "--sign-in", "token", "--public-url", `https://localhost:${port}${path}/`,
      "--trusted-proxies", "127.0.0.1", ...FAST,
    ]);
    const nginx = await startNginx({ base: path, port, upstream: server.url });
    await expect.poll(async () => (await fetch(`${server.url}/readyz`)).status, { timeout: 60_000 }).toBe(200);
    await use({ url: `https://localhost:${port}`, direct: server.url });
    await nginx.stop();
    await Promise.all([server.stop(), sim.stop()]);
  }, { scope: "worker", timeout: 90_000 }],
  demo: [async ({ site }, use) => use(site), { scope: "worker" }],
});

const menu = (page: Page) => page.getByRole("banner").locator("details.user");
const figures = (page: Page) =>
  cards(page).getByRole("meter").evaluateAll((meters) => meters.map((meter) => meter.getAttribute("aria-valuetext")).join());

async function signIn(page: Page, address: string, token = "ana-token") {
  await page.goto(address);
  await page.getByLabel("Kubernetes token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** The times in ms at which the first two pieces of an event stream arrive. */
const pieces = (url: string) => new Promise<number[]>((resolve, reject) => {
  const times: number[] = [], begun = Date.now();
  const request = get(url, { rejectUnauthorized: false, headers: { authorization: "Bearer admin-token" } }, (answer) => {
    if (answer.headers["content-type"] !== "text/event-stream") return reject(new Error(`${url}: ${answer.statusCode}`));
    answer.on("data", () => {
      if (times.push(Date.now() - begun) === 2) resolve(times), request.destroy();
    });
  });
  request.once("error", reject);
  request.end();
});

const below = behind("/ops/vms");

for (const [path, test] of [["/ops/vms", below], ["", behind("")]] as const) {
  test.describe(path ? `below ${path}` : "at the root", () => {
    test.use({ ignoreHTTPSErrors: true });

    /** Whether the address bar shows this address of the dashboard. */
    const shows = (page: Page, address: string) =>
      expect(page).toHaveURL((url) => url.pathname + url.search === path + address);

    test("a person signs in, finds a VM, sees it change, and signs out", async ({ page, context }) => {
      const outside: string[] = [];
      page.on("request", (request) => {
        const url = new URL(request.url());
        if (url.protocol.startsWith("http") && !url.pathname.startsWith(`${path}/`)) outside.push(request.url());
      });
      await signIn(page, `${path}/?namespace=shop&sort=name`);
      await shows(page, "/?namespace=shop&sort=name");
      await hydrated(page);
      for (const { name, path: below, secure, httpOnly } of await context.cookies()) {
        expect([name.replace(/\d$/, "0"), below, secure, httpOnly])
          .toEqual([`${path ? "__Secure" : "__Host"}-wukong-session-0`, `${path}/`, true, true]);
      }
      // The server renders the first page; from here on the browser's half writes addresses and moves between pages.
      const before = await figures(page);
      await expect.poll(() => figures(page), { timeout: 20_000, message: "an event changes figures" }).not.toBe(before);
      const marked = () => page.evaluate(() => "marked" in window);
      await page.evaluate(() => Object.assign(window, { marked: true }));
      const name = await cards(page).getByRole("heading").first().innerText();
      await page.locator("form.filters").getByRole("searchbox").fill(name);
      await shows(page, `/?q=${name}&namespace=shop`);
      await expect(cards(page).first()).toContainText(name);
      await cards(page).getByRole("link", { name, exact: true }).click();
      await shows(page, `/vms/shop/${name}`);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText(name);
      await expect(page.locator(".history svg").first()).toBeVisible();
      await page.getByRole("link", { name: "7 d" }).click();
      await shows(page, `/vms/shop/${name}?span=7d`);
      for (const [link, address] of [["Nodes", "/groups"], ["Insights", "/insights"], ["Sources", "/sources"], ["VMs", "/"]]) {
        const pages = page.getByRole("navigation", { name: "Pages" });
        await pages.getByRole("link", { name: link }).click();
        await shows(page, address);
        await expect(pages.getByRole("link", { name: link })).toHaveAttribute("aria-current", "page");
        await expect(pages.locator("[aria-current]")).toHaveCount(1);
      }
      await page.goBack();
      await shows(page, "/sources");
      await page.locator(".search input").fill("a");
      await page.keyboard.press("Enter");
      await shows(page, "/?q=a");
      expect(await marked(), "no page was loaded as a document").toBe(true);
      await menu(page).locator("summary").click();
      await menu(page).getByRole("button", { name: "Sign out" }).click();
      await shows(page, "/auth/sign-in?signed-out=1");
      expect(await context.cookies()).toEqual([]);
      expect(outside).toEqual([]);
    });

    test("the map, the table, downloads and the other language", async ({ page, context }) => {
      await signIn(page, `${path}/?view=map`, "admin-token");
      await hydrated(page);
      const group = page.locator(".map section").first().getByRole("listbox");
      await group.focus();
      await expect(group.getByRole("option")).toBeVisible();
      await page.keyboard.press("Enter");
      await expect(page).toHaveURL((url) => url.pathname.startsWith(`${path}/vms/`));
      await expect(page.locator(".history svg").first()).toBeVisible();
      await page.goto(`${path}/?view=table`);
      await hydrated(page);
      await page.getByRole("table", { name: "Virtual machines" }).getByRole("link", { name: /^CPU/ }).click();
      await expect(page).toHaveURL((url) => url.pathname === `${path}/` && url.searchParams.get("sort") === "cpu");
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "CSV" }).click()]);
      expect(await download.failure()).toBeNull();
      await page.getByRole("navigation", { name: "Language" }).getByRole("link", { name: "中文" }).click();
      await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
      const cookies = await context.cookies();
      expect(cookies.map(({ path: below }) => below).filter((below) => below !== `${path}/`)).toEqual([]);
      await page.goto(`${path}/sources`);
      await expect(page.locator("html"), "the language is remembered").toHaveAttribute("lang", "zh-CN");
    });

    test("events arrive one by one", async ({ site }) => {
      const [first, second] = await pieces(`${site.url}${path}/api/events`);
      expect(first).toBeLessThan(5_000);
      // Figures change every 2 s; a buffer of nginx would hold dozens of events back.
      expect(second).toBeLessThan(20_000);
    });

    test("probes are answered by the program itself, and below the path", async ({ site, request }) => {
      for (const probe of ["/healthz", "/readyz"]) {
        expect((await fetch(site.direct + probe)).status, probe).toBe(200);
        expect((await request.get(site.url + path + probe)).status(), probe).toBe(200);
      }
      expect((await request.get(`${site.url}${path}/api/vms`)).status()).toBe(401);
    });
  });
}

below.describe("another application of the host", () => {
  below.use({ ignoreHTTPSErrors: true });

  below("gets no cookie of the dashboard, and the path needs no slash", async ({ page, site }) => {
    await signIn(page, "/ops/vms");
    await expect(menu(page)).toBeVisible();
    expect(new URL(page.url()).pathname).toBe("/ops/vms/");
    await page.goto("/other/");
    await expect(page.locator("body")).toHaveText("cookies:");
    expect((await fetch(`${site.direct}/`)).status, "outside of the path").toBe(404);
  });
});
