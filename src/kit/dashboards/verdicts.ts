/** Verdicts for panels, from the catalogue: one number for the cause that matters most, and what each number says. */
import type { ValueMapping } from "@grafana/grafana-foundation-sdk/dashboard";
import type { Cause, Step } from "../../diagnosis/cause.ts";
import { followers } from "../alertmanager.ts";
import type { KitSettings } from "../settings.ts";
import { bad, good, notJudged, planned, stepColours } from "./palette.ts";
import { type DataLink, mapped, mappedRange } from "./panels.ts";
import { everIn, max, own } from "./query.ts";

/** A cause's number: higher where others follow from it, lowest for what pages nobody. From 1, without gaps. */
export function ranked(causes: readonly Cause[]): readonly Cause[] {
  const weight = ({ id, severity }: Cause): number =>
    severity === "info" ? -1 : followers(causes, id).length + (severity === "critical" ? 0.5 : 0);
  return causes.toSorted((one, other) => weight(one) - weight(other));
}

/**
 * The rank of the cause that is at work, one number for each set of labels in `by`; 0 for none. Seen by the exporter
 * itself: the rules of alerts are not asked, so a dashboard works without them.
 */
export function causeNumber(causes: readonly Cause[], by: string): string {
  // Only what is at work is put together: with two hundred hosts all series of all causes would take ten seconds.
  const active = ranked(causes).map(({ id }, index) => `${index + 1} * (${own("cause_active", `cause="${id}"`)} == 1)`);
  return `max by (${by}) (\n  ${active.join("\n  or ")}\n)\nor 0 * ${max(own("cause_active"), by)}`;
}

/** For a sentence on its colour: seen or not; white on a step's own colour cannot always be read. */
export const causeMappings = (causes: readonly Cause[]): ValueMapping[] => [
  mapped(
    causeStates(causes).map((state) =>
      state.value === 0 || state.colour === planned ? state : { ...state, colour: bad },
    ),
  ),
];

export const causeStates = (causes: readonly Cause[]) => [
  { value: 0, text: "nothing seen", colour: good },
  ...ranked(causes).map((cause, index) => ({ value: index + 1, text: cause.title, colour: colourOf(cause) })),
];

/**
 * A step's verdict over the time that is shown: the rank of the worst cause that was at work; else minus the number of
 * causes that could not be judged; else 0.
 */
export function stepNumber(causes: readonly Cause[]): string {
  const seen = ranked(causes).map(
    ({ id }, index) => `${index + 1} * (${everIn(own("cause_active", `cause="${id}"`))} == 1)`,
  );
  const observable = everIn(own("cause_observable", `cause=~"${causes.map(({ id }) => id).join("|")}"`));
  return `max(\n  ${seen.join("\n  or ")}\n)\nor -count(${observable} == 0)\nor 0 * count(${observable})`;
}

export const stepMappings = (causes: readonly Cause[], healthy: string): ValueMapping[] => [
  mapped([
    { value: 0, text: `No: ${healthy}`, colour: good },
    ...ranked(causes).map((cause, index) => ({
      value: index + 1,
      text: `Yes: ${cause.summary}`,
      colour: cause.severity === "info" ? planned : bad,
    })),
  ]),
  mappedRange(-100_000, -1, `Not all of it can be judged here: ${grants(causes)}`, notJudged),
];

export const colourOf = ({ step, severity }: Cause): string => (severity === "info" ? planned : stepColours[step]);

/** What would have to be granted, each once. */
const grants = (causes: readonly Cause[]): string => [...new Set(causes.map(({ grant }) => grant))].join("; or ");

/** `step 2: memory is short`; `beyond: ...` for what the checklist forgets. */
export const named = ({ step, title }: Cause): string => `${step === "beyond" ? step : `step ${step}`}: ${title}`;

export const ofStep = (causes: readonly Cause[], step: Step): readonly Cause[] =>
  causes.filter((cause) => cause.step === step);

export const runbookUrl = (alert: string, { runbookBase }: KitSettings): string => `${runbookBase}/${alert}.md`;

export const runbookLink = ({ alert }: { readonly alert: string }, settings: KitSettings): DataLink => ({
  title: `Runbook ${alert}`,
  url: runbookUrl(alert, settings),
});

/** Markdown for panel descriptions. */
export const runbooks = (causes: readonly { readonly alert: string }[], settings: KitSettings): readonly string[] =>
  causes.map(({ alert }) => `[${alert}](${runbookUrl(alert, settings)})`);

/** A number of the catalogue: throws where the catalogue no longer has it. */
export function threshold(causes: readonly Cause[], id: string, name: string): number {
  const value = causes.find((cause) => cause.id === id)?.thresholds[name]?.value;
  if (value === undefined) throw new Error(`dashboards: the catalogue has no threshold ${id}.${name}`);
  return value;
}

/** Of `sshd_up`, in a table's column or a number of its own. */
export const listens = {
  steps: [
    { from: null, colour: bad },
    { from: 1, colour: good },
  ],
  mappings: [
    mapped([
      { value: 0, text: "down", colour: bad },
      { value: 1, text: "listens", colour: good },
    ]),
  ],
};
