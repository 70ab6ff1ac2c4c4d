// The browser is told to trust this page's own files and nothing else. (Every spec fails on a refused script or a
// request to somebody else: see the guard in fixtures.ts.)
import { expect, open, test } from "./fixtures";

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

test("each page has a nonce of its own, which the policy names", async ({ page, request }) => {
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
  faults.length = 0; // the refusal was wanted
});

for (const method of ["post", "put", "delete", "patch"] as const) {
  test(`${method} is not answered, pages and functions are GET`, async ({ request }) => {
    for (const path of ["/", "/api/vms", "/fn/home", "/sources"]) {
      expect([404, 405], path).toContain((await request[method](path)).status());
    }
  });
}
