/** One thing that was observed: what a record means, when and by whom it was said, and its text where that is to be shown. */
import type { Event } from "../model/event.ts";
import type { LogRecord } from "../model/record.ts";

export interface Observation {
  readonly event: Event;
  /** Its message is empty where the text is not to be kept. */
  readonly record: LogRecord;
}

/** The remote address that an event is about; a proxy's clients are not this host's. */
export function addressOf(event: Event): string | undefined {
  if (event.kind === "sshd.listening" || event.kind === "proxy.ended") return undefined;
  return "address" in event ? event.address : undefined;
}
