// English and Chinese, chosen by the browser's preference, the link in the top bar or the address.
import type { Page } from "@playwright/test";
import { address, cards, expect, json, test, vms, type Server, type Vm } from "./fixtures";

type Source = { error: string };
type Details = { conditions: { type: string; status: string; reason: string; message: string }[] };

// Words that Chinese pages share with English ones: names, units, codes and commands.
const TERMS = new Set((
  "wukong dashboard CPU vCPU PSI Wukong Kubernetes KubeVirt VirtualMachine VirtualMachineInstance Launcher launcher Pod Pods PVC API UTC MAC " +
  "kubelet prometheus Prometheus longhorn Longhorn ceph Ceph RBD mirroring guest agent kubectl working set watch list get read query " +
  "nodes pods persistentvolumes persistentvolumeclaims virtualmachines virtualmachineinstances virtualmachineinstancemigrations virtualmachineinstancetypes virtualmachineclusterinstancetypes wukongs masquerade bridge Ready IOPS CSV JSON Home End Enter Esc"
).split(" "));

const bar = (page: Page) => page.getByRole("banner");
const languages = (page: Page) => bar(page).getByRole("navigation", { name: /Language|语言/ });

/** The visible and spoken texts of a page, without commands, code and messages of sources. */
const texts = (page: Page) => page.evaluate(() => {
  const copy = document.body.cloneNode(true) as HTMLElement;
  copy.querySelectorAll("script, style, code, pre, .fix, .remedy").forEach((element) => element.remove());
  const spoken = ["title", "aria-label", "aria-valuetext", "placeholder", "data-th"].flatMap((name) =>
    [...copy.querySelectorAll(`[${name}]`)].map((element) => element.getAttribute(name) ?? ""));
  const texts: string[] = [];
  const walker = document.createTreeWalker(copy, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) texts.push(walker.currentNode.textContent ?? "");
  return [...texts, ...spoken];
});

/** Names from the cluster, messages of its sources, and what KubeVirt says of this VM. */
async function clusterNames(demo: Server, vm: Vm): Promise<string> {
  const sources = await json<Source[]>(demo, "/api/sources");
  const details = await json<Details>(demo, `/api/vms/${vm.name}?namespace=${vm.namespace}`);
  const conditions = details.conditions.flatMap(({ type, status, reason, message }) => [type, status, reason, message]);
  return ["demo", ...values(await vms(demo)), ...values(details), ...conditions, ...sources.map((source) => source.error)].join(" ");
}

/** The strings in an answer of the API, without the program's own texts. */
function values(json: unknown): string[] {
  if (typeof json === "string") return [json];
  if (typeof json !== "object" || json === null) return [];
  return Object.entries(json).flatMap(([key, value]) => ["text", "reason", "fix"].includes(key) ? [] : values(value));
}

async function englishWords(page: Page, demo: Server, vm: Vm): Promise<string[]> {
  const known = await clusterNames(demo, vm);
  const words = (await texts(page)).flatMap((text) => known.includes(text.trim()) ? [] : text.split(/[^A-Za-z0-9_.:/@-]+/));
  return [...new Set(words.filter((word) => /^[A-Za-z]{3,}$/.test(word) && !TERMS.has(word) && !known.includes(word)))];
}

for (const javaScriptEnabled of [true, false]) {
  test.describe(`a browser that prefers Chinese, ${javaScriptEnabled ? "with" : "without"} JavaScript`, () => {
    // Without scripts, preloaded files are not used, which Chromium reports on slow machines.
    test.use({ locale: "zh-CN", javaScriptEnabled, allowFaults: !javaScriptEnabled });

    test("has Chinese pages without English words", async ({ page, demo }) => {
      const all = await vms(demo);
      const unknown = all.find((vm) => vm.status === "Running" && vm.usage.disk.missing) ?? all[0];
      for (const [path, words] of [
        ["/", "已分配"], ["/?view=table", "命名空间"], ["/?q=nothing-at-all", "没有匹配的虚拟机"], ["/?page=0", "无法理解这个地址"],
        [address(unknown), "为什么未知"], ["/sources", "数据来源"], ["/nowhere", "页面不存在"],
      ]) {
        await page.goto(path);
        await expect(page.locator("html")).toHaveAttribute("lang", "zh-CN");
        await expect(page.getByRole("main")).toContainText(words);
        if (javaScriptEnabled) await expect(bar(page).getByRole("status")).toHaveText("实时");
        if (javaScriptEnabled) expect(await englishWords(page, demo, unknown), path).toEqual([]);
      }
      if (!javaScriptEnabled) return;
      await page.goto("/?lang=en");
      expect((await englishWords(page, demo, unknown)).length, "the scan finds English words on an English page").toBeGreaterThan(10);
    });

    test("switches to English and back on the same view, and remembers it", async ({ page }) => {
      await page.goto("/?q=a&sort=cpu");
      const shown = await cards(page).count();
      await languages(page).getByRole("link", { name: "EN", exact: true }).click();
      await expect(page).toHaveURL(/\?q=a&sort=cpu&lang=en$/);
      await expect(page.locator("html")).toHaveAttribute("lang", "en");
      await expect(page.getByRole("main")).toContainText("allocated");
      await expect(cards(page)).toHaveCount(shown);
      await bar(page).getByRole("link", { name: "Sources" }).click();
      await expect(page).toHaveURL(/\/sources$/);
      await page.reload();
      await expect(page.locator("html")).toHaveAttribute("lang", "en");
      await expect(languages(page).getByRole("link", { name: "EN", exact: true })).toHaveAttribute("aria-current", "true");
      await languages(page).getByRole("link", { name: "中文" }).click();
      await expect(page).toHaveURL(/\/sources\?lang=zh-CN$/);
      await expect(page.getByRole("heading", { level: 1 })).toHaveText("数据来源");
    });
  });
}

test.describe("a page with JavaScript", () => {
  test.use({ locale: "zh-CN" });

  test("downloads only the texts of its language, once", async ({ page }) => {
    const words: string[] = [];
    page.on("request", (request) => { if (request.url().endsWith(".txt")) words.push(request.url().split("/").pop()!); });
    await page.goto("/");
    await expect(bar(page).getByRole("status")).toHaveText("实时");
    await cards(page).first().getByRole("link").first().click();
    await expect(page.getByRole("main")).toContainText("用量");
    expect(words).toEqual(["zh-CN.txt", "zh-CN.later.txt"]);
  });

  test("keeps the language after navigation and updates", async ({ page }) => {
    await page.goto("/");
    await expect(bar(page).getByRole("status")).toHaveText("实时");
    const age = bar(page).getByText(/秒前/);
    const before = await age.textContent();
    await expect(age).not.toHaveText(before!);
    await bar(page).getByRole("link", { name: "数据来源" }).click();
    await expect(page.getByRole("heading", { level: 1 })).toHaveText("数据来源");
    await expect(languages(page).getByRole("link", { name: "EN", exact: true })).toHaveAttribute("href", "/sources?lang=en");
  });
});
