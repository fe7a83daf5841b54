/**
 * The row of probe results on the fleet's dashboard: what a client sees of each target. A probe's `instance` is its
 * target and its job is its own, so the row is whole while Job and Host are All.
 */
import { type ProbePhase, probePhases } from "../../probe/session.ts";
import type { Row } from "./layout.ts";
import { bad, good, okabeIto } from "./palette.ts";
import { graph, mapped, states, table } from "./panels.ts";
import { any, max, own, sum } from "./query.ts";

const target = "job, instance";
const onlyAll = "While Job and Host are All.";
const empty = "No target is probed, or Job and Host are not All";

const colours: Readonly<Record<ProbePhase, string>> = {
  dns: okabeIto.grey,
  connect: okabeIto.blue,
  banner: okabeIto.skyBlue,
  kex_init: okabeIto.yellow,
  kex_reply: okabeIto.orange,
  new_keys: okabeIto.purple,
};

export const probeRow: Row = {
  title: "From outside: probes",
  panels: [
    states({
      title: "In which phase the probe of each target ends",
      shows: `What a client sees that connects, without a login. ${onlyAll}`,
      good: "Every strip says: all phases.",
      act: "`ssh-reset-exporter probe HOST` says what it means; SshResetProbeFailed has the table of phases.",
      empty,
      width: 10,
      height: 8,
      // One of all the series is 1 when it fails: the number is that of its phase.
      queries: [
        {
          expr: probePhases
            .map((phase, index) => `${index + 1} * ${sum(own("probe_failure", `phase="${phase}"`), target)}`)
            .join(" + "),
          legend: "{{instance}}",
        },
      ],
      states: [
        { value: 0, text: "all phases", colour: good },
        ...probePhases.map((phase, index) => ({ value: index + 1, text: phase, colour: colours[phase] })),
      ],
    }),
    table({
      title: "Targets that fail now",
      good: "Empty.",
      act: "Phase and reason point at a step of the checklist; probe it from a second network, too.",
      empty: "No probe fails, or Job and Host are not All",
      width: 7,
      height: 8,
      hidden: ["__name__", "job"],
      columns: [
        { label: "instance", title: "Target" },
        { label: "phase", title: "Phase", width: 90 },
        { label: "reason", title: "Reason", width: 90 },
        {
          expr: `${own("probe_failure")} == 1`,
          title: "Now",
          width: 80,
          mappings: [mapped([{ value: 1, text: "fails", colour: bad }])],
        },
      ],
    }),
    graph({
      title: "Time of each phase, the slowest target",
      shows: `Up to the phase that failed. ${onlyAll}`,
      good: "Steady; `banner` and `kex_reply` are sshd's own work.",
      act: "`connect` grows: the path. `banner`: a slow resolver or throttling. `kex_reply`: CPU, or a path that eats large packets.",
      empty,
      queries: [{ expr: max(any("sshreset_probe_phase_duration_seconds"), "phase"), legend: "{{phase}}" }],
      unit: "s",
      width: 7,
      colours,
    }),
  ],
};
