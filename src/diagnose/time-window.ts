/** `--since` and `--until` as people type them: `90m`, `24h`, `7d`, `16:30`, `2026-11-22 16:30`, `2026-11-22T16:30:00Z`, `@1795354598`. */
import { ConfigError } from "../config/error.ts";

export interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

const unitsMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};
const longestMs = 31 * 86_400_000;

/** Throws ConfigError, quoting what was given. */
export function timeWindow(since: string, until: string | undefined, nowMs: number): TimeWindow {
  const fromMs = pointInTime("--since", since, nowMs);
  const toMs = until === undefined ? nowMs : Math.min(pointInTime("--until", until, nowMs), nowMs);
  if (fromMs >= nowMs) throw new ConfigError(`--since: "${since}" is in the future`);
  if (fromMs >= toMs) throw new ConfigError(`--since "${since}" is not before --until "${until}"`);
  if (toMs - fromMs > longestMs) throw new ConfigError(`--since: "${since}" is too long ago: at most 31 days are read`);
  return { fromMs, toMs };
}

function pointInTime(flag: string, text: string, nowMs: number): number {
  const timeMs = ago(text, nowMs) ?? epoch(text) ?? clock(text, nowMs) ?? date(text);
  if (timeMs === undefined || Number.isNaN(timeMs)) {
    throw new ConfigError(
      `${flag}: ${JSON.stringify(text.slice(0, 40))} is no time: give 90m, 24h, 7d, 16:30 or 2026-11-22T16:30`,
    );
  }
  return timeMs;
}

function ago(text: string, nowMs: number): number | undefined {
  const [, amount, unit = ""] = /^-?(\d{1,6})(s|m|min|h|d|w)$/.exec(text) ?? [];
  return amount === undefined ? undefined : nowMs - Number(amount) * (unitsMs[unit] ?? Number.NaN);
}

/** As journalctl and date(1) take it. */
function epoch(text: string): number | undefined {
  return /^@\d{1,11}$/.test(text) ? Number(text.slice(1)) * 1000 : undefined;
}

/** The last time that the clock showed it. */
function clock(text: string, nowMs: number): number | undefined {
  const [, hour, minute, second = "0"] = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/.exec(text) ?? [];
  if (hour === undefined || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const day = new Date(nowMs);
  day.setHours(Number(hour), Number(minute), Number(second), 0);
  if (day.getTime() > nowMs) day.setDate(day.getDate() - 1);
  return day.getTime();
}

/** Without a zone it is this host's own time. */
function date(text: string): number | undefined {
  const [, day, time = "00:00", zone = ""] =
    /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)(Z|[+-]\d\d:?\d\d)?)?$/.exec(text) ?? [];
  return day === undefined ? undefined : Date.parse(`${day}T${time}${zone}`);
}
