/**
 * What the fleet's alerts mute, by a real Alertmanager with the shipped configuration (its receivers tell nobody): the
 * pages of hosts that they explain, and no others; nothing at all where labels are missing on one side or on both.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { parse, stringify } from "yaml";
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { symptom } from "../../src/diagnosis/symptom.ts";
import { blindHostAlerts, lostOnTheWay, rolloutHostAlert } from "../../src/kit/fleet.ts";
import { debianOr } from "../../tools/debian.ts";
import { waitFor } from "../cli/exporter-process.ts";

type Labels = Readonly<Record<string, string>>;

const host: Labels = { job: "ssh", instance: "h1:10922" };
const place: Labels = { cluster: "c1", network: "n1", load_balancer: "lb1" };
const lost = [...lostOnTheWay, "login_timeout", symptom.id];
const alertOf = (cause: string): Labels => ({
  alertname: [...catalogue, symptom].find(({ id }) => id === cause)?.alert ?? cause,
  cause,
});
const network: Labels = { alertname: "SshFleetNetworkLosesPeers", cause: "fleet_network" };
const balancer: Labels = { alertname: "SshFleetBalancerLosesPeers", cause: "fleet_balancer" };
const blind: Labels = { alertname: "SshFleetBlind", cause: "fleet_blind" };
const rollout: Labels = { alertname: rolloutHostAlert, cause: "fleet_rollout" };
const exporterAlert = (alertname: string): Labels => ({ alertname, cause: "exporter" });

/** A pair that any configuration of ours mutes. */
const sentinel: readonly Labels[] = ["oom_kill", "sshd_down"].map((cause) => ({
  ...{ job: "ssh", instance: "sentinel:10922", case: "sentinel" },
  ...alertOf(cause),
}));

interface Case {
  readonly title: string;
  readonly source: Labels;
  /** Labels of the host beside job and instance, and which of its alerts are muted. */
  readonly targets: readonly { readonly labels: Labels; readonly alerts: readonly Labels[]; readonly muted: boolean }[];
}

const all = [...lost, "sshd_crash", "sshd_down", "oom_kill", "conntrack_full"].map(alertOf);
const explained = lost.map(alertOf);
const own = all.filter((alert) => !explained.includes(alert) && !lost.includes(alert["cause"] ?? ""));

const cases: readonly Case[] = [
  {
    title: "a network's loss mutes what it explains on its hosts, and nothing else there",
    source: { ...network, cluster: "c1", network: "n1" },
    targets: [
      { labels: place, alerts: explained, muted: true },
      { labels: place, alerts: own, muted: false },
      { labels: { ...place, network: "n2" }, alerts: all, muted: false },
      { labels: { ...place, cluster: "c2" }, alerts: all, muted: false },
      { labels: { network: "n1" }, alerts: all, muted: false },
      { labels: { cluster: "c1" }, alerts: all, muted: false },
      { labels: {}, alerts: all, muted: false },
    ],
  },
  {
    title: "in a fleet that labels only networks, by network; only clusters, by cluster",
    source: { ...network, network: "n1" },
    targets: [
      { labels: { network: "n1" }, alerts: explained, muted: true },
      { labels: place, alerts: all, muted: false },
      { labels: {}, alerts: all, muted: false },
    ],
  },
  {
    title: "of a cluster without networks",
    source: { ...network, cluster: "c1" },
    targets: [
      { labels: { cluster: "c1" }, alerts: explained, muted: true },
      { labels: place, alerts: all, muted: false },
      { labels: {}, alerts: all, muted: false },
    ],
  },
  {
    title: "a balancer's loss mutes the hosts behind it",
    source: { ...balancer, cluster: "c1", load_balancer: "lb1" },
    targets: [
      { labels: place, alerts: explained, muted: true },
      { labels: place, alerts: own, muted: false },
      { labels: { ...place, load_balancer: "lb2" }, alerts: all, muted: false },
      { labels: { cluster: "c1", network: "n1" }, alerts: all, muted: false },
      { labels: { load_balancer: "lb1" }, alerts: all, muted: false },
      { labels: {}, alerts: all, muted: false },
    ],
  },
  {
    title: "a rollout mutes the crash on the hosts that it names",
    source: { ...rollout, ...host, ...place },
    targets: [
      { labels: place, alerts: [alertOf("sshd_crash")], muted: true },
      { labels: place, alerts: [alertOf("mtu_blackhole")], muted: false },
      { labels: { ...place, cluster: "c2" }, alerts: [alertOf("sshd_crash")], muted: false },
      { labels: { ...place, instance: "h2:10922" }, alerts: [alertOf("sshd_crash")], muted: false },
      { labels: {}, alerts: [alertOf("sshd_crash")], muted: false },
    ],
  },
  {
    title: "a rollout mutes the crash on hosts without labels too: by job and instance",
    source: { ...rollout, ...host },
    targets: [
      { labels: {}, alerts: [alertOf("sshd_crash")], muted: true },
      { labels: { instance: "h2:10922" }, alerts: [alertOf("sshd_crash")], muted: false },
      { labels: place, alerts: [alertOf("sshd_crash")], muted: false },
    ],
  },
  {
    title: "a blind network mutes the alerts about its exporters",
    source: { ...blind, cluster: "c1", network: "n1" },
    targets: [
      { labels: place, alerts: blindHostAlerts.map(exporterAlert), muted: true },
      { labels: place, alerts: [exporterAlert("SshResetStateNotSaved"), ...all], muted: false },
      { labels: { ...place, network: "n2" }, alerts: blindHostAlerts.map(exporterAlert), muted: false },
      { labels: {}, alerts: blindHostAlerts.map(exporterAlert), muted: false },
    ],
  },
  ...[network, balancer, blind, rollout].map((source) => ({
    title: `${source["alertname"]} without labels mutes nothing, on hosts with labels and without`,
    source,
    targets: [{}, place, { network: "n1" }, { cluster: "c1" }].map((labels) => ({
      ...{ labels, muted: false },
      alerts: [...all, ...blindHostAlerts.map(exporterAlert)],
    })),
  })),
];

for (const suite of ["machine", "sid"] as const) {
  describe(`what the fleet's alerts mute, by the Alertmanager of ${suite}`, () => {
    let folder: string;
    let child: ChildProcess;
    let url: string;

    before(async function () {
      const { path, env } = await debianOr(this, "prometheus-alertmanager", suite);
      folder = await mkdtemp(join(tmpdir(), "ssh-reset-inhibition-"));
      const config = parse(await readFile("alerts/alertmanager.yml", "utf8")) as { receivers: { name: string }[] };
      const silent = { ...config, receivers: config.receivers.map(({ name }) => ({ name })), templates: [] };
      await writeFile(join(folder, "alertmanager.yml"), stringify(silent));
      child = spawn(
        path,
        [
          `--config.file=${folder}/alertmanager.yml`,
          `--storage.path=${folder}/data`,
          "--web.listen-address=127.0.0.1:0",
          "--cluster.listen-address=",
        ],
        { env, stdio: ["ignore", "ignore", "pipe"] },
      );
      let said = "";
      child.stderr?.setEncoding("utf8").on("data", (text: string) => {
        said += text;
      });
      url = await waitFor("Alertmanager to listen", 60_000, async () => {
        if (child.exitCode !== null) throw new Error(said);
        const address = /"?(?:Listening on|Listening)"? (?:component=\w+ )?address=(127\.0\.0\.1:\d+)/.exec(said)?.[1];
        return address === undefined ? undefined : `http://${address}`;
      });
    });
    after(async () => {
      if (child?.exitCode === null) {
        const gone = once(child, "exit");
        child.kill("SIGTERM");
        await gone;
      }
      await rm(folder, { recursive: true, force: true });
    });

    for (const [index, { title, source, targets }] of cases.entries()) {
      it(title, async function () {
        this.timeout(150_000);
        // A host for each alert, since causes of one host mute each other; but for a rollout, which names its host.
        const hosts = targets.flatMap(({ labels, alerts, muted }, of) =>
          alerts.map((alert, nth) => {
            const instance = source["instance"] ?? `h${of}-${nth}:10922`;
            return { muted, labels: { job: "ssh", instance, ...labels, ...alert, case: `${index} ${of}` } };
          }),
        );
        const posted = [{ ...source, case: `${index}` }, ...hosts.map(({ labels }) => labels), ...sentinel];
        await post(posted);
        const key = (labels: Labels): string => `${labels["alertname"]} ${labels["case"]}`;
        const mutedOf = (own: readonly { readonly labels: Labels; readonly muted: boolean }[]): string[] =>
          own.flatMap((alert) => (alert.muted ? [key(alert.labels)] : [])).sort();
        // Newer Alertmanagers inhibit a moment after they show an alert: what came last is muted when all have been seen.
        const shown = await waitFor("the alerts", 60_000, async () => {
          const some = await alerts();
          const seen = some.some(({ labels, muted }) => muted && labels["case"] === "sentinel");
          return seen && some.length === posted.length ? some : undefined;
        });
        expect(mutedOf(shown.filter(({ labels }) => labels["case"] !== "sentinel"))).to.deep.equal(mutedOf(hosts));
        await post(posted, true);
        await waitFor("their end", 60_000, async () => ((await alerts()).length === 0 ? true : undefined));
      });
    }

    async function post(own: readonly Labels[], over = false): Promise<void> {
      const startsAt = new Date(Date.now() - 2000).toISOString();
      const endsAt = new Date(Date.now() + (over ? -1000 : 300_000)).toISOString();
      const body = JSON.stringify(own.map((labels) => ({ labels, annotations: {}, startsAt, endsAt })));
      const answer = await fetch(`${url}/api/v2/alerts`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body,
      });
      expect(answer.status, await answer.text()).to.equal(200);
    }

    async function alerts(): Promise<{ labels: Labels; muted: boolean }[]> {
      const answer = await fetch(`${url}/api/v2/alerts`);
      const found = (await answer.json()) as { labels: Labels; status: { inhibitedBy: string[] } }[];
      return found.map(({ labels, status }) => ({ labels, muted: status.inhibitedBy.length > 0 }));
    }
  });
}
