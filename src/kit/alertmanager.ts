/**
 * Alertmanager's part: routes by severity and cause, one group per host, inhibition from the catalogue. Shipped as a whole
 * configuration whose parts can be copied into another one.
 */

import type { Cause, CauseId } from "../diagnosis/cause.ts";
import { symptom } from "../diagnosis/symptom.ts";
import { resetPhases } from "../diagnosis/unexplained.ts";
import { phases } from "../model/connection.ts";
import type { KitSettings } from "./settings.ts";

interface InhibitRule {
  readonly source_matchers: readonly string[];
  readonly target_matchers: readonly string[];
  readonly equal: readonly string[];
}

/** A label that both sides lack counts as equal: each one of `equal` must be there on both. */
const equal = ["job", "instance"];
const present = equal.map((label) => `${label}=~".+"`);

export function inhibitRules(causes: readonly Cause[]): readonly InhibitRule[] {
  const byCause = causes.flatMap(({ id }) => {
    const targets = followers(causes, id);
    return targets.length === 0 ? [] : [inhibit(`cause="${id}"`, `cause=~"${targets.join("|")}"`)];
  });
  const always = causes.filter(explainsAll).map(({ id }) => id);
  return [...byCause, inhibit(`cause=~"${always.join("|")}"`, `cause="${symptom.id}"`)];
}

const inhibit = (source: string, target: string): InhibitRule => ({
  source_matchers: [source, ...present],
  target_matchers: [target, ...present],
  equal,
});

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
const networkSteps: readonly Cause["step"][] = [4, 5, 6];

export function alertmanagerConfig({ causes, timeScale }: KitSettings): unknown {
  const scaled = (seconds: number): string =>
    timeScale === 1 ? `${seconds}s` : `${Math.max(200, Math.round((seconds * 1000) / timeScale))}ms`;
  const network = causes.filter(({ step }) => networkSteps.includes(step)).map(({ id }) => id);
  return {
    route: {
      receiver: "ssh-reset-nobody",
      routes: [
        {
          matchers: ['alertname=~"Sshd.+|SshReset.+|SshKnownPeersReset"'],
          receiver: "ssh-reset-notify",
          group_by: ["job", "instance"],
          group_wait: scaled(45),
          group_interval: scaled(120),
          repeat_interval: timeScale === 1 ? "12h" : "1h",
          routes: [
            { matchers: ['severity="info"'], receiver: "ssh-reset-nobody" },
            { matchers: ['severity="critical"', `cause=~"${network.join("|")}"`], receiver: "ssh-reset-network" },
            { matchers: ['severity="critical"'], receiver: "ssh-reset-page" },
          ],
        },
      ],
    },
    inhibit_rules: inhibitRules(causes),
    receivers: [
      { name: "ssh-reset-nobody" },
      { name: "ssh-reset-page", ...webhook("page") },
      { name: "ssh-reset-network", ...webhook("network") },
      { name: "ssh-reset-notify", ...webhook("notify") },
    ],
    templates: ["templates/*.tmpl"],
  };
}

/** A place to begin: on this host, so that the file loads as it is; alerts/README.md has e-mail and chat. */
const webhook = (path: string) => ({
  webhook_configs: [{ url: `http://127.0.0.1:9099/${path}`, send_resolved: true }],
});
