/**
 * A fleet in one process: a page of the real exporter, shown by each host with numbers of its own that move, and with what
 * a scenario does to it on top. Hosts, their labels, their incidents and the pages that these must earn are planned here;
 * the plan is always the same.
 */
import { catalogue } from "../../src/diagnosis/catalogue.ts";
import { symptom } from "../../src/diagnosis/symptom.ts";
import { fleetLabels } from "../../src/kit/fleet-labels.ts";
import { faults, knownPeersReset, scanners } from "../alerts/scenarios.ts";
import { type Change, type Outage, SimulatedHost } from "../alerts/simulated-host.ts";

type Labels = Readonly<Record<string, string>>;

export interface FleetHost {
  readonly instance: string;
  readonly labels: Labels;
  readonly kernel: string;
  readonly changes: readonly Change[];
  readonly outages: readonly Outage[];
}

/** A page that must come, once. */
export interface Due {
  readonly cause: string;
  /** The host, network, balancer or version that it names. */
  readonly place: string;
  /** Scenario seconds at which its reason begins. */
  readonly at: number;
  /** Scenario seconds that the rules wait by themselves from then on, Alertmanager's group_wait included. */
  readonly waits: number;
  readonly ofFleet: boolean;
}

export interface FleetPlan {
  readonly hosts: readonly FleetHost[];
  readonly due: readonly Due[];
  /** Scenario seconds until everything has paged that must. */
  readonly until: number;
}

/** Share of hosts with an incident of their own. */
const incidentShare = 0.05;
const groupWait = 45;
const [blindAt, singleAt, networkAt, rolloutAt, smallEndsAt, endsAt] = [60, 120, 240, 300, 600, 780];
const [plainKernel, badKernel] = ["6.1.0-44-amd64", "6.12.90+deb13-amd64"];

/** Hosts in networks of up to 50, a tenth of them behind balancers, a tenth without any label of the fleet. */
export function planFleet(count: number): FleetPlan {
  const perNetwork = Math.min(50, Math.floor(count / 5));
  const ofNetwork = (network: number, index: number): boolean => Math.floor(index / perNetwork) === network;
  const unlabelled = (index: number): boolean => index >= count - Math.floor(count / 10);
  const perBalancer = Math.max(3, Math.floor(perNetwork / 5));
  const due: Due[] = [];
  const paging = [
    ...catalogue
      .filter(({ severity }) => severity !== "info")
      .map(({ id }) => ({ id, changes: faults[id].changes, waits: faults[id].from + groupWait })),
    { id: symptom.id, changes: (at: number) => knownPeersReset(at, 4, "session"), waits: 180 + groupWait },
  ];
  const incidents = Math.max(4, Math.floor(count * incidentShare));
  // From the third network on: the first two have an incident of their own.
  const [firstFree, free] = [3 * perNetwork, count - 3 * perNetwork];
  const hosts = Array.from({ length: count }, (_, index): FleetHost => {
    const instance = `h${String(index).padStart(4, "0")}:10922`;
    const changes: Change[] = index % 10 === 0 ? [...scanners] : [];
    const outages: Outage[] = [];
    const incident = Math.floor(((index - firstFree) * incidents) / free);
    const begins = index >= firstFree && incident !== Math.floor(((index - 1 - firstFree) * incidents) / free);
    const what = begins ? paging[incident % paging.length] : undefined;
    let kernel = plainKernel;
    if (ofNetwork(0, index)) outages.push({ from: blindAt, until: endsAt * 2 });
    else if (ofNetwork(1, index)) changes.push(...knownPeersReset(networkAt, 4, "session"));
    else if (ofNetwork(2, index)) {
      const inside = index - 2 * perNetwork;
      if (inside < perBalancer) changes.push(proxyCuts(networkAt));
      else kernel = badKernel;
      if (kernel === badKernel && inside < perBalancer + Math.max(3, perNetwork / 4))
        changes.push(...faults.sshd_crash.changes(rolloutAt));
    } else if (what !== undefined) {
      const at = singleAt + (incident % 60);
      changes.push(...what.changes(at));
      due.push({ cause: what.id, place: instance, at, waits: what.waits, ofFleet: false });
    }
    const behind = index % perNetwork < perBalancer ? { [fleetLabels.loadBalancer]: balancer(index, perNetwork) } : {};
    const labels = unlabelled(index)
      ? {}
      : { [fleetLabels.cluster]: "c1", [fleetLabels.network]: `n${Math.floor(index / perNetwork)}`, ...behind };
    return { instance, labels, kernel, changes, outages };
  });
  const ofFleet = (cause: string, place: string, at: number, waits = 0): Due => ({
    ...{ cause, place, at, ofFleet: true },
    waits: waits + groupWait,
  });
  due.push(
    ofFleet("fleet_blind", "n0", blindAt, 240),
    ofFleet("fleet_network", "n1", networkAt, 45),
    ofFleet("fleet_balancer", balancer(2 * perNetwork, perNetwork), networkAt),
    ofFleet("fleet_rollout", badKernel, rolloutAt),
  );
  // A small fleet's blind hosts are not awaited: their own alerts would come after ten minutes.
  return { hosts, due, until: count < 100 ? smallEndsAt : endsAt };
}

const balancer = (index: number, perNetwork: number): string => `lb${Math.floor(index / perNetwork)}`;

/** Sessions through a balancer that hides its clients' addresses. */
const proxyCuts = (at: number): Change => ({
  metric: "connections_ended_total",
  labels: { phase: "session", outcome: "reset", peer_class: "proxy" },
  at,
  add: 5,
});

interface Line {
  /** Up to the value: `sshreset_sshd_up ` or a whole comment line. */
  readonly text: string;
  readonly key?: string;
  readonly value: number;
  /** Added in each minute. */
  readonly perMinute: number;
  /** Moves up and down by this share. */
  readonly noise: number;
}

export class SimulatedFleet {
  readonly #lines: readonly Line[];
  readonly #hosts: readonly {
    readonly host: SimulatedHost;
    readonly kernel: string;
    readonly down: readonly Outage[];
  }[];

  /** `page`: text format 0.0.4, from a real exporter. */
  constructor(page: string, hosts: readonly FleetHost[]) {
    this.#lines = linesOf(page);
    this.#hosts = hosts.map(({ changes, outages, kernel }) => ({
      host: new SimulatedHost(changes, outages),
      kernel,
      down: outages,
    }));
  }

  /** Undefined while the host's exporter does not answer. */
  page(index: number, seconds: number): string | undefined {
    const simulated = this.#hosts[index];
    if (simulated === undefined) throw new Error(`no host ${index}`);
    if (simulated.down.some(({ from, until }) => seconds >= from && seconds < until)) return undefined;
    const values = new Map(
      simulated.host.samples(seconds).map(({ name, labels = {}, value }) => [keyOf(name, labels), value]),
    );
    const parts: string[] = [];
    for (const { text, key, value, perMinute, noise } of this.#lines) {
      if (key === undefined) {
        parts.push(text);
        continue;
      }
      const own = values.get(key);
      values.delete(key);
      const moving = perMinute > 0 ? Math.floor(value + (perMinute * seconds) / 60 + index) : value;
      const wavering = noise > 0 ? moving * (1 + noise * Math.sin(seconds / 40 + index)) : moving;
      parts.push(`${text}${own ?? wavering}\n`);
    }
    for (const [key, value] of values) parts.push(`${key} ${value}\n`);
    parts.push(`sshreset_host_info{kernel="${simulated.kernel}",distribution="Debian GNU/Linux"} 1\n`);
    parts.push('sshreset_sshd_info{version="9.2p1 Debian-2+deb12u7"} 1\n');
    return parts.join("");
  }
}

const keyOf = (name: string, labels: Labels): string => {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.length === 0 ? name : `${name}{${sorted.map(([label, value]) => `${label}="${value}"`).join(",")}}`;
};

/** Counters that move on every host on any day, and are no evidence. */
const everyday =
  /^(sshreset_(connections_ended_total.*"unknown"|session_idle_at_end_|tcp_resets_|peer_resets_|state_commits_|timeouts_)|process_cpu_|nodejs_gc_)/;

/** The lines of each host's own versions are left out. */
function linesOf(page: string): Line[] {
  const lines = page.split("\n").filter((line) => line !== "" && !/^sshreset_(host|sshd)_info\{/.test(line));
  return lines.map((line, index) => {
    const [, name = "", labels = "", value = ""] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (line.startsWith("#") || name === "") return { text: `${line}\n`, value: 0, perMinute: 0, noise: 0 };
    const parsed = Object.fromEntries(
      [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label ?? "", text ?? ""]),
    );
    return {
      text: line.slice(0, line.lastIndexOf(" ") + 1),
      key: keyOf(name, parsed),
      value: Number(value),
      perMinute: everyday.test(line) ? 1 + (index % 7) : 0,
      noise: /duration_seconds|resident|heap|memory_available|load1/.test(name) ? 0.1 : 0,
    };
  });
}
