/**
 * At the very first start: who has logged in here within the last 30 days, from up to 30 days of history. In the
 * background, bounded in time, uncounted.
 */
import type { Logger } from "pino";
import { idents, parse } from "../parsers/index.ts";
import { acceptedHistory } from "../sources/history.ts";
import { identsOfKinds, type SourceSelection } from "../sources/select.ts";
import type { Counting } from "./counting.ts";
import { placeOf } from "./open-sources.ts";

const historyMs = 30 * 24 * 3600 * 1000;

export interface Learner {
  readonly counting: Counting;
  /** Runs it when the counts may change. */
  change(change: () => void): Promise<void>;
}

export async function learnKnownPeers(
  { journal, logfile }: SourceSelection,
  fromBeginning: boolean,
  log: Logger,
  signal: AbortSignal,
  { counting, change }: Learner,
): Promise<void> {
  if (counting.learnt) return;
  let logins = 0;
  const history = acceptedHistory({
    // Read from its beginning anyway, all its logins are counted.
    ...(journal && !fromBeginning && { journal: placeOf(journal) }),
    logfiles: (logfile ?? []).filter(({ kinds }) => kinds.includes("sshd")).map(({ path }) => path),
    rotatedOnly: fromBeginning,
    idents: identsOfKinds(idents, ["sshd"]),
    sinceMs: Date.now() - historyMs,
    signal,
    onWarning: (message, details) => log.warn({ ...details }, message),
  });
  for await (const records of history) {
    await change(() => {
      for (const record of records) {
        const event = parse(record);
        if (event?.kind !== "sshd.accepted") continue;
        counting.learn(event.address, record.timeMs);
        logins++;
      }
    });
  }
  if (signal.aborted) return;
  await change(() => counting.learntAll());
  log.info({ logins }, "learnt known peers from the history of logins");
}
