/**
 * What changed between two lists of src/kit/compatibility.ts, whether somebody's dashboard, rule or script may break of
 * it, and whether CHANGELOG.md names it.
 */
import type { Interface } from "./compatibility.ts";

export interface Change {
  /** As users type it: a metric, `--flag`, a command, an alert, a path. */
  readonly name: string;
  readonly what: string;
  /** Semantic versioning: new things break nothing. */
  readonly breaks: boolean;
}

export function changes(before: Interface, after: Interface): Change[] {
  return kinds.flatMap((kind) => changesOf(kind, before[kind] ?? {}, after[kind]));
}

const kinds = ["metrics", "options", "commands", "alerts", "records", "pages", "dashboards"] as const;
type Kind = (typeof kinds)[number];
type Things = Readonly<Record<string, object>>;

function changesOf(kind: Kind, before: Things, after: Things): Change[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((key) => {
    const name = kind === "options" ? `--${key}` : key;
    const [old, now] = [before[key], after[key]];
    if (old === undefined) return [{ name, what: "is new", breaks: false }];
    if (now === undefined) return [{ name, what: "is gone", breaks: true }];
    return fieldChanges(old, now, "").map(({ what, breaks }) => ({ name, what, breaks }));
  });
}

/** Lists and objects may grow: with a closed set's value, a flag of a command, an exit code; but labels may not. */
function fieldChanges(old: unknown, now: unknown, place: string): Omit<Change, "name">[] {
  if (Array.isArray(old) && Array.isArray(now)) {
    const gone = old.filter((value) => !now.includes(value));
    const added = now.filter((value) => !old.includes(value));
    return [
      ...gone.map((value) => ({ what: `${place}: ${value} is gone`, breaks: true })),
      ...added.map((value) => ({ what: `${place}: ${value} is new`, breaks: false })),
    ];
  }
  if (isObject(old) && isObject(now)) {
    return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((key) => {
      const inside = place === "" ? key : `${place} ${key}`;
      if (!(key in old)) return [{ what: `${inside} is new`, breaks: place === "labels" }];
      if (!(key in now)) return [{ what: `${inside} is gone`, breaks: true }];
      return fieldChanges(old[key], now[key], inside);
    });
  }
  if (old === now) return [];
  const what = `${place}: ${JSON.stringify(old)} became ${JSON.stringify(now)}`;
  // Another word for what an exit code means is no other meaning; that is for the reader to judge.
  return [{ what, breaks: !place.startsWith("exits ") }];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Those that the text, a part of CHANGELOG.md, does not name in backticks. */
export function unnamed(all: readonly Change[], changelog: string): Change[] {
  const words = new Set(
    [...changelog.matchAll(/`([^`]+)`/g)].flatMap(([, code = ""]) => [code, ...code.split(/[\s=]/)]),
  );
  return all.filter(({ name }) => !words.has(name));
}

/** What CHANGELOG.md says since that release: all above its heading. */
export function since(changelog: string, version: string): string {
  const lines = changelog.split("\n");
  const end = lines.findIndex((line) => line.startsWith("## ") && line.split(/[\s[\]]+/).includes(version));
  return lines.slice(0, end < 0 ? undefined : end).join("\n");
}

const level = ["patch", "minor", "major"] as const;
export type Level = (typeof level)[number];

/** The least step that semantic versioning allows; before 1.0 a minor release may break. */
export function leastStep(all: readonly Change[], version: string): Level {
  if (all.some(({ breaks }) => breaks)) return version.startsWith("0.") ? "minor" : "major";
  return all.length > 0 ? "minor" : "patch";
}

/** Which step leads from one version to the other; undefined: none, or backwards. */
export function stepBetween(from: string, to: string): Level | undefined {
  const [old, now] = [from, to].map((version) => version.split(/[-+]/)[0]?.split(".").map(Number) ?? []);
  const index = [0, 1, 2].find((part) => old?.[part] !== now?.[part]);
  if (index === undefined || (now?.[index] ?? 0) < (old?.[index] ?? 0)) return undefined;
  return (["major", "minor", "patch"] as const)[index as 0 | 1 | 2];
}

export const isEnough = (step: Level, least: Level): boolean => level.indexOf(step) >= level.indexOf(least);
