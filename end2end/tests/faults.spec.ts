// Failures: the server or the cluster goes away and comes back.
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startProgram } from "../program.mjs";
import { card, cards, expect, freshness, hydrated, PROGRAM, settled, test, notices, vms } from "./fixtures";

const FAST = ["--metrics-interval", "2s", "--disk-interval", "2s", "--metrics-deadline", "1s", "--kubelet-deadline", "1s", "--watch-idle", "5s"];

test.describe(() => {
  test.use({ allowFaults: true });

  test("a page keeps its figures while the server is away, and reconnects", async ({ page }) => {
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

  test("a page and its figures become stale while the cluster is away", async ({ page }) => {
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
    await expect(notices(page)).toBeVisible();
    // A figure is stale after three windows of 15 s. Expiry is tested without a browser.
    const cpu = card(page, vm).getByRole("meter", { name: "CPU" });
    await expect(cpu).toHaveClass(/aging/, { timeout: 70_000 });
    const again = await startProgram(PROGRAM, ["sim", "--vms", "20", "--nodes", "3", "--kubeconfig-out", kubeconfig], { port: sim.port });
    await expect(freshness(page)).toHaveText(/^live$/i, { timeout: 15_000 });
    await expect(cpu).not.toHaveClass(/aging/, { timeout: 40_000 });
    await Promise.all([server.stop(), again.stop()]);
  });
});
