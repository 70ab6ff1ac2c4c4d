// The content security policy and escaping. (The guard in fixtures.ts fails every spec on a refused script or a request
// to another site.)
import { address, card, expect, hydrated, open, test, vms } from "./fixtures";

test("the policy allows no inline script or style and no eval", async ({ page }) => {
  const response = await page.goto("/");
  const headers = response!.headers();
  const policy = headers["content-security-policy"];
  expect(policy).toMatch(/script-src[^;]*'nonce-/);
  expect(policy).toContain("'wasm-unsafe-eval'");
  expect(policy.replace("'wasm-unsafe-eval'", "")).not.toMatch(/unsafe-(inline|eval)/);
  expect(policy).toMatch(/frame-ancestors 'none'/);
  expect(headers["x-content-type-options"]).toBe("nosniff");
  expect(headers["referrer-policy"]).toBeTruthy();
});

test("each page has its own nonce, which the policy names", async ({ page, request }) => {
  const nonce = (text: string) => /'nonce-([^']+)'/.exec(text)?.[1];
  const [first, second] = await Promise.all([request.get("/"), request.get("/")]);
  expect(nonce(first.headers()["content-security-policy"])).not.toBe(nonce(second.headers()["content-security-policy"]));
});

test("an injected script does not run", async ({ page, faults }) => {
  await open(page, "/");
  const ran = await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "window.injected = true";
    document.body.append(script);
    return "injected" in window;
  });
  expect(ran).toBe(false);
  expect(faults.join()).toContain("Content Security Policy");
  faults.length = 0; // the refusal is expected
});

for (const method of ["post", "put", "delete", "patch"] as const) {
  test(`${method} is refused`, async ({ request }) => {
    for (const path of ["/", "/api/vms", "/fn/home", "/sources"]) {
      expect([404, 405], path).toContain((await request[method](path)).status());
    }
  });
}

// Closes the title, and would make the browser load another page.
const EVIL = '</title><meta http-equiv=refresh content="0;url=https://evil.example"><x-evil>';

test("markup in the path is escaped", async ({ page, demo }) => {
  const path = `/vms/a/${encodeURIComponent(EVIL)}`;
  const response = await page.goto(path, { waitUntil: "networkidle" });
  expect(response!.status()).toBe(404);
  await expect(page).toHaveTitle("404 Not Found");
  await expect(page.locator("meta[http-equiv], x-evil")).toHaveCount(0);
  expect(page.url()).toBe(demo.url + path);
});

test("markup in a parameter is escaped", async ({ page }) => {
  await open(page, `/?q=${encodeURIComponent(EVIL)}`);
  await expect(page.getByRole("main").getByRole("searchbox")).toHaveValue(EVIL);
  await expect(page.locator("meta[http-equiv], x-evil")).toHaveCount(0);
  await expect(page).toHaveTitle(/wukong-dashboard/);
});

test("a title is plain text on server and browser", async ({ page, demo }) => {
  const [vm] = await vms(demo);
  const title = `${vm.name} · ${vm.namespace} · wukong-dashboard`;
  // First the server's title, then the browser's, then the title after navigation.
  await page.goto(address(vm), { waitUntil: "commit" });
  await expect(page).toHaveTitle(title);
  await hydrated(page);
  await expect(page).toHaveTitle(title);
  await open(page, `/?q=${vm.name}&namespace=${vm.namespace}`);
  await card(page, vm).getByRole("heading").getByRole("link").click();
  await expect(page).toHaveTitle(title);
});

test("an address is decoded once, by the server and by the browser", async ({ page }) => {
  const field = page.getByRole("main").getByRole("searchbox");
  for (const [query, text] of [["%2525", "%25"], ["%252B", "%2B"], ["a%2Bb+c", "a+b c"], ["%25ff", "%ff"]]) {
    await page.goto(`/?q=${query}`, { waitUntil: "commit" });
    await expect(field).toHaveValue(text);
    await hydrated(page);
    await expect(field).toHaveValue(text);
    // Navigation within the page, where the browser half decodes the address.
    await page.getByRole("main").getByRole("button", { name: "Table", exact: true }).click();
    await expect(page).toHaveURL(/view=table/);
    await expect(field).toHaveValue(text);
  }
});
