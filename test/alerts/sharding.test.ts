/** The shipped configurations for many hosts, by promtool: valid, every target on one shard, nothing lost on the way. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse, stringify } from "yaml";
import { fleetLabels } from "../../src/kit/fleet-labels.ts";
import { fleetGroups } from "../../src/kit/rules.ts";
import { defaultSettings } from "../../src/kit/settings.ts";
import { debianOr } from "../../tools/debian.ts";
import { run } from "./promtool.ts";

const shards = 4;
const hosts = 400;

interface Shard {
  readonly remote_write: readonly { readonly write_relabel_configs: readonly { readonly regex: string }[] }[];
}

describe("the configurations for many hosts", () => {
  let folder: string;
  const shardFile = (shard: number): string => join(folder, `shard-${shard}.yml`);

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "ssh-reset-shards-"));
    for (const file of ["deploy/prometheus/central.yml", "deploy/prometheus/targets.yml"])
      await cp(file, join(folder, file.slice(file.lastIndexOf("/"))));
    for (const file of ["ssh-reset-exporter.rules.yml", "fleet.rules.yml"])
      await cp(`alerts/${file}`, join(folder, file));
    const shard = await readFile("deploy/prometheus/shard.yml", "utf8");
    for (let number = 0; number < shards; number += 1)
      await writeFile(shardFile(number), shard.replaceAll(/"0"/g, `"${number}"`));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const suite of ["machine", "sid"] as const) {
    it(`are valid, with the rules that they name, for ${suite}'s Prometheus`, async function () {
      const promtool = await debianOr(this, "promtool", suite);
      for (const file of ["central.yml", "shard-0.yml", "shard-3.yml"]) {
        const { code, output } = await run(promtool, ["check", "config", join(folder, file)]);
        expect(code, output).to.equal(0);
        expect(output).to.match(/\d\d rules found/);
      }
    });
  }

  it("give each target to one shard, about as many to each", async function () {
    const promtool = await debianOr(this, "promtool");
    this.timeout(120_000);
    const targets = Array.from({ length: hosts }, (_, index) => `h${index}.example.org:10922`);
    await writeFile(join(folder, "targets.yml"), stringify([{ targets, labels: { network: "n1" } }]));
    const kept = await Promise.all(
      Array.from({ length: shards }, async (_, shard) => {
        const args = ["check", "service-discovery", "--timeout=3s", shardFile(shard), "ssh"];
        const { output } = await run(promtool, args);
        const found = JSON.parse(output.slice(output.indexOf("[\n"))) as { labels?: Record<string, string> }[];
        expect(found, output.slice(0, 500)).to.have.length(hosts);
        return found.flatMap(({ labels }) => labels?.["instance"] ?? []);
      }),
    );
    expect(kept.flat().sort()).to.deep.equal([...targets].sort());
    for (const own of kept) expect(own.length).to.be.within(hosts / shards / 1.5, (hosts / shards) * 1.5);
    await cp("deploy/prometheus/targets.yml", join(folder, "targets.yml"));
  });

  it("send to the middle all that the fleet's rules read, and nothing else", async () => {
    const { remote_write } = parse(await readFile("deploy/prometheus/shard.yml", "utf8")) as Shard;
    const kept = new RegExp(`^(?:${remote_write[0]?.write_relabel_configs[0]?.regex})$`);
    const rules = fleetGroups(defaultSettings).flatMap((group) => group.rules);
    const recorded = new Set(rules.flatMap((rule) => ("record" in rule ? [rule.record] : [])));
    const read = new Set(
      rules
        .flatMap(({ expr }) => expr.match(/\b(?:\w+:)?sshreset_\w+(?::\w+)?/g) ?? [])
        .filter((name) => !recorded.has(name)),
    );
    expect([...read].filter((name) => !kept.test(name))).to.deep.equal([]);
    const names = [
      ...(await readFile("docs/metrics.md", "utf8")).matchAll(/^\| `(sshreset_\w+)`/gm),
      ...(await readFile("alerts/ssh-reset-exporter.rules.yml", "utf8")).matchAll(/record: (\S+)/g),
    ].map(([, name = ""]) => name);
    expect(names.length).to.be.above(100);
    expect([...new Set(names)].filter((name) => kept.test(name) && !read.has(name))).to.deep.equal([]);
  });

  it("attach the labels of the fleet", async () => {
    const targets = parse(await readFile("deploy/prometheus/targets.yml", "utf8")) as { labels: object }[];
    const labels = new Set(targets.flatMap((group) => Object.keys(group.labels)));
    expect([...labels].sort()).to.deep.equal(Object.values(fleetLabels).sort());
  });
});
