import { defineConfig } from "@playwright/test";
import { browserOptions } from "./program.mjs";

// On the demo: `script` runs everything, `no-script` runs again, in a browser without JavaScript, what must work there
// too, `crowd` measures once nothing else runs, and `many` looks at 10,000 VMs last. BASE_URL names a program that runs already, on a real control plane: `real-cluster` alone looks at that.
const projects = process.env.BASE_URL
  ? [{ name: "real-cluster", testMatch: /real\.spec\.ts/ }]
  : [
      { name: "script", testIgnore: /(real|crowd|many)\.spec\.ts/ },
      { name: "no-script", testMatch: /(complete|few|find|map|node|timeline)\.spec\.ts/, grepInvert: /@script/, use: { javaScriptEnabled: false } },
      // A trace's pictures of the page are long tasks of their own.
      { name: "crowd", testMatch: /crowd\.spec\.ts/, dependencies: ["script", "no-script"], use: { trace: "off" as const } },
      // One worker, because each has a program with 10,000 VMs, and two of them leave the browsers no processor.
      { name: "many", testMatch: /many\.spec\.ts/, dependencies: ["crowd"], workers: 1 },
    ];

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
  projects,
});
