// Checks of every page in both themes and languages at three widths. `few` runs them with 30 VMs, `many` with 10,000.
import { startProgram } from "../program.mjs";
import { PROGRAM, address, expect, settled, horizontalOverflow, test, violations, vms, type Server, type Vm } from "./fixtures";

const WIDTHS = [390, 1440, 2560];

/** A demo server with these options, one for each worker. */
export const demoOf = (...options: string[]) =>
  test.extend<object, { demo: Server }>({
    demo: [async ({}, use) => {
      const server = await startProgram(PROGRAM, ["demo", "--seed", "1", ...options]);
      await settled(server);
      await use(server);
      await server.stop();
    }, { scope: "worker", timeout: 300_000 }],
  });

function pages(all: Vm[]): string[] {
  const known = all.find((vm) => vm.metrics && !vm.usage.disk.missing)!;
  const unknown = all.find((vm) => vm.status === "Running" && vm.usage.disk.missing)!;
  const failed = all.find((vm) => vm.status === "Error")!;
  return ["/", "/?view=table", "/?view=map", "/?view=map&by=namespace&color=disk", "/?attention=1", "/groups", "/groups?by=namespace", "/insights", "/sources", `/nodes/${known.nodeName}`, `/nodes/${unknown.nodeName}?top=network`, ...[known, unknown, failed].map(address)];
}

/** Layout, accessibility, one main heading, and the language. (The guard in fixtures.ts watches the console.) */
export function everywhere(sized: typeof test) {
  for (const colorScheme of ["light", "dark"] as const) {
    for (const locale of ["en", "zh-CN"]) {
      sized.describe(`${colorScheme}, ${locale}`, () => {
        sized.use({ colorScheme, locale });

        sized("every page fits, and axe finds no violations", async ({ page, demo, javaScriptEnabled }) => {
          sized.setTimeout(600_000);
          for (const path of pages(await vms(demo))) {
            await page.goto(path);
            await expect.soft(page.locator("html"), path).toHaveAttribute("lang", locale);
            await expect.soft(page.getByRole("heading", { level: 1 }), path).toHaveCount(1);
            expect.soft(await page.locator("article, tbody tr").count(), path).toBeLessThanOrEqual(200);
            for (const width of WIDTHS) {
              await page.setViewportSize({ width, height: 900 });
              expect.soft(await horizontalOverflow(page), `${path} at ${width} px`).toBeLessThanOrEqual(0);
            }
            if (!javaScriptEnabled) continue; // axe runs as a script in the page
            expect.soft(await violations(page), path).toEqual([]);
          }
        });
      });
    }
  }
}
