/**
 * Who had logged in here before the window: from the exporter's state where there is one, else from the logs of the
 * 30 days before, newest first and bounded in time.
 */
import { idents, parse } from "../parsers/index.ts";
import { acceptedHistory } from "../sources/history.ts";
import type { JournalPlace } from "../sources/journal.ts";
import { identsOfKinds, type SourceSelection } from "../sources/select.ts";
import { logWindow } from "./log-window.ts";

export interface KnownPeer {
  readonly address: string;
  readonly timeMs: number;
}

const historyMs = 30 * 86_400_000;
const most = 20_000;

export interface HistoryWanted {
  readonly selection: SourceSelection;
  readonly untilMs: number;
  readonly timeLimitMs: number;
}

/** `complete`: everything was read in time. */
export async function knownFromLogs({
  selection,
  untilMs,
  timeLimitMs,
}: HistoryWanted): Promise<{ readonly peers: readonly KnownPeer[]; readonly complete: boolean }> {
  const found = new Map<string, number>();
  const signal = AbortSignal.timeout(timeLimitMs);
  const sshd = identsOfKinds(idents, ["sshd"]);
  let complete = true;
  const reading = async function* () {
    if (selection.journal !== undefined) {
      const { kinds: _, ...journal } = selection.journal;
      const place: JournalPlace = journal;
      const options = { journal: place, logfiles: [], idents: sshd, sinceMs: untilMs - historyMs, timeLimitMs };
      yield* acceptedHistory({ ...options, signal, onWarning: () => undefined });
    }
    for (const { path, kinds } of selection.logfile ?? []) {
      if (!kinds.includes("sshd")) continue;
      const past = { fromMs: untilMs - historyMs, toMs: untilMs };
      const options = { path, idents: sshd, ...past, containing: "Accepted ", newestFirst: true };
      yield* logWindow({ ...options, onBytes: () => undefined, onUnreadable: () => undefined });
    }
  };
  try {
    for await (const records of reading()) {
      for (const record of records) {
        if (!record.message.startsWith("Accepted ") || record.timeMs > untilMs || found.size >= most) continue;
        const event = parse(record);
        if (event?.kind === "sshd.accepted")
          found.set(event.address, Math.max(record.timeMs, found.get(event.address) ?? 0));
      }
      if (signal.aborted) break;
    }
  } catch {
    // The window's own reading says why a file cannot be read.
    complete = false;
  }
  return { peers: byTime(found), complete: complete && !signal.aborted };
}

/** The ledger keeps them in the order of their logins. */
const byTime = (found: ReadonlyMap<string, number>): readonly KnownPeer[] =>
  [...found].map(([address, timeMs]) => ({ address, timeMs })).sort((a, b) => a.timeMs - b.timeMs);
