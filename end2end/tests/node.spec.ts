// The page of one node, with and without a script.
import { expect, freshness, json, open, test } from "./fixtures";

type Share = { given: number; percent: number | null };
type Consumer = { namespace: string; name: string; used: number };
type Node = {
  name: string | null; total: number; level: string; problems: { text: string }[];
  node?: { known: boolean; ready: boolean | null; kubeletVersion: string; memory: Share; used: { memory: { percent?: number; missing?: { reason: string } } } | null };
  top: Record<"memory" | "cpu" | "network" | "diskIo", { vms: Consumer[]; more: number }>;
};
type Groups = { groups: Node[] };

const groups = async (demo: { url: string }) => (await json<Groups>(demo, "/api/groups?by=node")).groups.filter((group) => group.name !== null);
const node = (demo: { url: string }, name: string) => json<Node>(demo, `/api/nodes/${name}`);

test("a node's name leads to its page, and the number of its VMs to the list", async ({ page, demo }) => {
  const { name, total } = (await groups(demo)).find((group) => group.total > 1)!;
  const row = page.getByRole("table", { name: "Nodes" }).getByRole("row").filter({ has: page.getByRole("link", { name: name!, exact: true }) });
  await page.goto("/groups?by=node");
  await row.getByRole("link", { name: `${total} VMs`, exact: true }).click();
  await expect(page).toHaveURL(new RegExp(`node=${name}`));
  await page.goto("/groups?by=node");
  await row.getByRole("link", { name: name!, exact: true }).click();
  await expect(page).toHaveURL(`/nodes/${name}`);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(name!);
});

test("the page says what is wrong, what is used and what is allocated", async ({ page, demo }) => {
  const { name } = (await groups(demo)).find((group) => group.node?.ready === true && group.total > 0)!;
  await page.goto(`/nodes/${name}`);
  const of = await node(demo, name!);
  const verdict = page.getByRole("region", { name: "Verdict" });
  if (of.problems.length > 0) await expect(verdict).toContainText(/are used|are allocated|Cordoned|pressure|Not ready|process IDs/);
  else await expect(verdict).toContainText("The node is ready.");
  await expect(page.getByRole("meter", { name: "Memory allocated" })).toHaveAttribute("aria-valuetext", /\d.* of .*\d %/);
  if (!of.node!.used!.memory.missing) await expect(page.getByRole("meter", { name: "Memory used" })).toHaveAttribute("aria-valuetext", /\d.* of .*\d %/);
  await expect(page.getByRole("main")).toContainText(of.node!.kubeletVersion);
});

test("a lost node says so, and its incident leads to it", async ({ page, demo }) => {
  const lost = (await groups(demo)).find((group) => group.node?.known && group.node.ready !== true && group.total > 0);
  test.skip(!lost, "every node of the demo is ready");
  await page.goto("/");
  await page.getByRole("region", { name: "Needs attention" }).getByRole("link", { name: lost!.name!, exact: true }).click();
  await expect(page).toHaveURL(`/nodes/${lost!.name}`);
  await expect(page.getByRole("region", { name: "Verdict" })).toContainText("Not ready");
});

test("links choose what the largest consumers are ranked by", async ({ page, demo }) => {
  const { name } = (await groups(demo)).sort((a, b) => b.total - a.total)[0];
  await page.goto(`/nodes/${name}`);
  const choices = page.getByRole("navigation", { name: "Largest consumers by" });
  const list = page.getByRole("region", { name: "Largest consumers" }).getByRole("listitem");
  for (const [link, code, by] of [["CPU", "cpu", "cpu"], ["Network", "network", "network"], ["Disk I/O", "disk-io", "diskIo"]] as const) {
    await choices.getByRole("link", { name: link, exact: true }).click();
    await expect(page).toHaveURL(`/nodes/${name}?top=${code}`);
    const { vms, more } = (await node(demo, name!)).top[by];
    await expect(list).toHaveCount(vms.length + (more > 0 ? 1 : 0));
  }
  await choices.getByRole("link", { name: "Memory", exact: true }).click();
  await expect(page).toHaveURL(`/nodes/${name}`);
  await expect(choices.getByRole("link", { name: "Memory", exact: true })).toHaveAttribute("aria-current", "true");
});

test("a VM's page leads to its node", async ({ page, demo }) => {
  const [{ name, top }] = (await Promise.all((await groups(demo)).map((group) => node(demo, group.name!)))).filter((of) => of.top.memory.vms.length > 0);
  const vm = top.memory.vms[0];
  await page.goto(`/vms/${vm.namespace}/${vm.name}`);
  await page.getByRole("main").getByRole("link", { name: name!, exact: true }).click();
  await expect(page).toHaveURL(`/nodes/${name}`);
});

test("an unknown node is a page with status 404", async ({ page }) => {
  expect((await page.goto("/nodes/nowhere"))?.status()).toBe(404);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("No such node");
  expect((await page.goto("/nodes/Not_A_Name"))?.status()).toBe(404);
});

test("the page is live by its stream @script", async ({ page, demo }) => {
  const { name } = (await groups(demo)).find((group) => group.total > 0)!;
  const stream = page.waitForRequest((request) => request.url().includes(`only=node&node=${name}`));
  await open(page, `/nodes/${name}`);
  await stream;
  await expect(freshness(page)).toHaveText(/^live$/i);
});
