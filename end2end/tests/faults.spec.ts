// What the page says when something breaks: the server, the cluster behind it.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProgram } from "../program.mjs";
import { card, cards, expect, freshness, hydrated, PROGRAM, settled, test, troubles, vms } from "./fixtures";

const FAST = ["--metrics-interval", "2s", "--disk-interval", "2s", "--metrics-deadline", "1s", "--kubelet-deadline", "1s", "--watch-idle", "5s"];

test.describe(() => {
  test.use({ troubled: true });

  test("a server that goes away is told, its last figures stay, and it is found again", async ({ page }) => {
    const first = await startProgram(PROGRAM, ["demo", ...FAST]);
    await settled(first);
    await page.goto(first.url);
    await hydrated(page);
    await first.stop();
    await expect(freshness(page)).toHaveText(/reconnecting/i, { timeout: 30_000 });
    await expect(cards(page)).toHaveCount(50);
    const second = await startProgram(PROGRAM, ["demo", ...FAST], { port: first.port });
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
    await second.stop();
  });

  test("a cluster that goes away makes the page stale and its figures old; the page stays up", async ({ page }) => {
    test.setTimeout(180_000);
    const kubeconfig = join(await mkdtemp(join(tmpdir(), "wukong-")), "kubeconfig");
    const sim = await startProgram(PROGRAM, ["sim", "--vms", "20", "--nodes", "3", "--kubeconfig-out", kubeconfig]);
    const server = await startProgram(PROGRAM, ["--kubeconfig", kubeconfig, ...FAST]);
    await settled(server);
    const vm = (await vms(server)).find((vm) => vm.metrics)!;
    await page.goto(`${server.url}/`);
    await hydrated(page);
    await sim.stop();
    await expect(freshness(page)).toHaveText(/stale/i, { timeout: 30_000 });
    await expect(troubles(page)).toBeVisible();
    // The simulated samples span 15 s: three of those, and the figure is old. That it expires is tested without a browser.
    const cpu = card(page, vm).getByRole("meter", { name: "CPU" });
    await expect(cpu).toHaveClass(/aging/, { timeout: 70_000 });
    const again = await startProgram(PROGRAM, ["sim", "--vms", "20", "--nodes", "3", "--kubeconfig-out", kubeconfig], { port: sim.port });
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
    await expect(cpu).not.toHaveClass(/aging/, { timeout: 40_000 });
    await Promise.all([server.stop(), again.stop()]);
  });
});
