import { defineConfig } from "@playwright/test";
import { browserOptions } from "./program.mjs";

// `script` runs everything; `no-script` runs again, in a browser without JavaScript, what must work there too.
export default defineConfig({
  testDir: "tests",
  timeout: 60_000,
  expect: { timeout: 10_000 },
  workers: 2,
  fullyParallel: true,
  retries: 0, // a test that passes at the second try has found something
  forbidOnly: process.env.CI === "true",
  outputDir: "test-results",
  reporter: process.env.PLAYWRIGHT_JSON_OUTPUT_NAME ? [["list"], ["json"]] : [["list"]],
  use: { launchOptions: browserOptions, viewport: { width: 1440, height: 900 }, trace: "retain-on-failure" },
  projects: [
    { name: "script" },
    { name: "no-script", testMatch: /complete\.spec\.ts/, use: { javaScriptEnabled: false } },
  ],
});
