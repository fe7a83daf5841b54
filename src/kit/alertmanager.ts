/**
 * Alertmanager's part: routes by severity and cause, one group per host, inhibition from the catalogue and by the fleet. Shipped as a whole
 * configuration whose parts can be copied into another one.
 */

import type { Cause, CauseId } from "../diagnosis/cause.ts";
import { symptom } from "../diagnosis/symptom.ts";
import { resetPhases } from "../diagnosis/unexplained.ts";
import { phases } from "../model/connection.ts";
import { blindHostAlerts, type FleetId, lostHostCauses, rolloutHostAlert } from "./fleet.ts";
import { fleetLabels } from "./fleet-labels.ts";
import type { KitSettings } from "./settings.ts";

interface InhibitRule {
  readonly source_matchers: readonly string[];
  readonly target_matchers: readonly string[];
  readonly equal: readonly string[];
}

const { cluster, network, loadBalancer } = fleetLabels;

export function inhibitRules(causes: readonly Cause[]): readonly InhibitRule[] {
  const byCause = causes.flatMap(({ id }) => {
    const targets = followers(causes, id);
    return targets.length === 0 ? [] : onHost(`cause="${id}"`, `cause=~"${targets.join("|")}"`);
  });
  const always = causes.filter(explainsAll).map(({ id }) => id);
  return [...byCause, ...onHost(`cause=~"${always.join("|")}"`, `cause="${symptom.id}"`), ...byFleet];
}

/** What many hosts have at once explains what each of them has. */
const byFleet: readonly InhibitRule[] = [
  ...onNetwork("fleet_network", `cause=~"${lostHostCauses.join("|")}"`),
  ...onBalancer("fleet_balancer", `cause=~"${lostHostCauses.join("|")}"`),
  ...onHost(`alertname="${rolloutHostAlert}"`, 'cause="sshd_crash"'),
  ...onNetwork("fleet_blind", `alertname=~"${blindHostAlerts.join("|")}"`),
];

function onHost(source: string, target: string): InhibitRule[] {
  const host = ["job", "instance"];
  return [inhibit(source, target, [cluster, ...host]), inhibit(source, target, host, [cluster])];
}

/** By cluster and network; in a fleet that labels only one of the two, by that. */
function onNetwork(id: FleetId, target: string): InhibitRule[] {
  const source = `cause="${id}"`;
  return [
    inhibit(source, target, [cluster, network]),
    inhibit(source, target, [network], [cluster]),
    inhibit(source, target, [cluster], [network]),
  ];
}

function onBalancer(id: FleetId, target: string): InhibitRule[] {
  const source = `cause="${id}"`;
  return [inhibit(source, target, [cluster, loadBalancer]), inhibit(source, target, [loadBalancer], [cluster])];
}

/**
 * A label that both sides lack counts as equal: each one of `equal` must be there on both, and what the fleet does not
 * have must be missing on both.
 */
function inhibit(
  source: string,
  target: string,
  equal: readonly string[],
  missing: readonly string[] = [],
): InhibitRule {
  const labels = [...equal.map((label) => `${label}=~".+"`), ...missing.map((label) => `${label}=""`)];
  return { source_matchers: [source, ...labels], target_matchers: [target, ...labels], equal };
}

/** Every cause that follows from this one, over any number of steps. */
export function followers(causes: readonly Cause[], id: CauseId): readonly CauseId[] {
  const found = new Set<CauseId>();
  const visit = (from: CauseId): void => {
    for (const target of causes.find((cause) => cause.id === from)?.inhibits ?? []) {
      if (found.has(target) || target === id) continue;
      found.add(target);
      visit(target);
    }
  };
  visit(id);
  return [...found];
}

/** The symptom's rule knows phases and times; inhibition does not, so only causes without such limits may inhibit it. */
const explainsAll = (cause: Cause): boolean =>
  cause.explainsWhen === undefined && resetPhases(cause).length === phases.length;

/** Causes for those who look after the network rather than the host. */
const ofNetwork = ({ id, step }: Cause): boolean => step === 4 || step === 5 || step === 6 || id === "network_path";

export function alertmanagerConfig({ causes, timeScale }: KitSettings): unknown {
  const scaled = (seconds: number): string =>
    timeScale === 1 ? `${seconds}s` : `${Math.max(200, Math.round((seconds * 1000) / timeScale))}ms`;
  const network = causes.filter(ofNetwork).map(({ id }) => id);
  return {
    route: {
      receiver: "ssh-reset-nobody",
      routes: [
        {
          matchers: ['alertname=~"Sshd.+|SshReset.+|SshKnownPeersReset|SshFleet.+"'],
          receiver: "ssh-reset-notify",
          group_by: [cluster, "job", "instance"],
          group_wait: scaled(45),
          group_interval: scaled(120),
          repeat_interval: timeScale === 1 ? "12h" : "1h",
          routes: [
            { matchers: ['severity="info"'], receiver: "ssh-reset-nobody" },
            ...fleetRoutes,
            { matchers: ['severity="critical"', `cause=~"${network.join("|")}"`], receiver: "ssh-reset-network" },
            { matchers: ['severity="critical"'], receiver: "ssh-reset-page" },
          ],
        },
      ],
    },
    inhibit_rules: inhibitRules(causes),
    receivers: [
      { name: "ssh-reset-nobody" },
      { name: "ssh-reset-page", email_configs: [email("oncall@example.org")] },
      { name: "ssh-reset-network", email_configs: [email("network-oncall@example.org")] },
      { name: "ssh-reset-notify", slack_configs: [slack] },
    ],
    templates: ["templates/*.tmpl"],
  };
}

/** One page for each network, balancer or rollout. */
const fleetRoutes = (
  [
    ['cause=~"fleet_network|fleet_balancer"', "ssh-reset-network"],
    ['cause="fleet_rollout"', "ssh-reset-page"],
    ['cause="fleet_blind"', "ssh-reset-notify"],
  ] as const
).map(([matcher, receiver]) => ({
  matchers: [matcher],
  receiver,
  group_by: ["alertname", ...Object.values(fleetLabels)],
}));

/** Places to begin: change who is told and how, keep the templates. */
const email = (to: string) => ({
  to,
  from: "alertmanager@example.org",
  smarthost: "localhost:25",
  require_tls: false,
  send_resolved: true,
  headers: { Subject: '{{ template "ssh-reset.email.subject" . }}' },
  html: '{{ template "ssh-reset.email.html" . }}',
  text: '{{ template "ssh-reset.text" . }}',
});

const slack = {
  api_url: "https://chat.example.org/hooks/ssh",
  send_resolved: true,
  title: '{{ template "ssh-reset.slack.title" . }}',
  text: '{{ template "ssh-reset.slack.text" . }}',
};
