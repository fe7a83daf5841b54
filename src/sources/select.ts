/**
 * Which source reads which kind of record, from what the user wishes and the host offers. Every kind comes from one
 * source, so that no event is counted twice: sshd's and systemd's from the journal where there is one, else from files;
 * the kernel's from kmsg, else the journal, else files. Pure; `offer.ts` looks at the host.
 */

export const recordKinds = ["sshd", "systemd", "kernel"] as const;
export type RecordKind = (typeof recordKinds)[number];

export interface SourceWish {
  /** --source.logfile, in order; they then give everything but what kmsg gives. */
  readonly logfiles: readonly string[];
  /** --[no-]source.journal; undefined: as the host offers. */
  readonly journal: boolean | undefined;
  /** --[no-]source.kmsg; undefined: as the host offers. */
  readonly kmsg: boolean | undefined;
  /** Each of them is a wish for the journal. */
  readonly journalDirectory?: string;
  readonly journalFile?: string;
}

export interface SourceOffer {
  /** There is a journal, and a journalctl to read it. `directory`: where it is not journalctl's own default. */
  readonly journal: { readonly directory?: string } | undefined;
  /** The kernel's ring buffer can be opened. */
  readonly kmsg: boolean;
  /** The log file for each kind, where there is one. */
  readonly logfiles: { readonly [Kind in RecordKind]: string | undefined };
}

/** What to open; a source without kinds is left out. */
export interface SourceSelection {
  readonly journal?: { readonly kinds: readonly RecordKind[]; readonly directory?: string; readonly file?: string };
  readonly logfile?: readonly { readonly path: string; readonly kinds: readonly RecordKind[] }[];
  readonly kmsg?: { readonly kinds: readonly ["kernel"] };
  /** Kinds that nobody reads, each with the reason. */
  readonly unread: readonly { readonly kind: RecordKind; readonly reason: string }[];
}

/** Two sources were asked for the same records, or one was asked for and forbidden. The message names both flags. */
export class SourceConflict extends Error {
  override readonly name = "SourceConflict";
}

/** Throws `SourceConflict`. */
export function selectSources(wish: SourceWish, offer: SourceOffer): SourceSelection {
  const journalFlag =
    wish.journalFile !== undefined
      ? `--source.journal.file=${wish.journalFile}`
      : wish.journalDirectory !== undefined
        ? `--source.journal.directory=${wish.journalDirectory}`
        : wish.journal
          ? "--source.journal"
          : undefined;
  const [named] = wish.logfiles;
  if (journalFlag !== undefined && wish.journal === false) {
    throw new SourceConflict(`--no-source.journal and ${journalFlag} exclude each other`);
  }
  if (journalFlag !== undefined && named !== undefined) {
    throw new SourceConflict(
      `${journalFlag} and --source.logfile=${named} would both read sshd's and systemd's records, and count them twice: give one of them`,
    );
  }

  const kmsg = wish.kmsg ?? offer.kmsg;
  const others: readonly RecordKind[] = kmsg ? ["sshd", "systemd"] : recordKinds;
  const selection = kmsg ? { kmsg: { kinds: ["kernel"] as const } } : {};
  if (named !== undefined) {
    const paths = [...new Set(wish.logfiles)];
    return { ...selection, logfile: paths.map((path) => ({ path, kinds: others })), unread: [] };
  }
  if (journalFlag !== undefined || (wish.journal !== false && offer.journal !== undefined)) {
    return { ...selection, journal: { kinds: others, ...journalPlace(wish, offer) }, unread: [] };
  }
  const byPath = new Map<string, RecordKind[]>();
  const unread: { kind: RecordKind; reason: string }[] = [];
  for (const kind of others) {
    const path = offer.logfiles[kind];
    if (path === undefined) unread.push({ kind, reason: `no journal is read and no log file of ${kind} was found` });
    else byPath.set(path, [...(byPath.get(path) ?? []), kind]);
  }
  const logfile = [...byPath].map(([path, kinds]) => ({ path, kinds }));
  return { ...selection, ...(logfile.length > 0 ? { logfile } : {}), unread };
}

function journalPlace(wish: SourceWish, offer: SourceOffer): { readonly directory?: string; readonly file?: string } {
  if (wish.journalFile !== undefined) return { file: wish.journalFile };
  if (wish.journalDirectory !== undefined) return { directory: wish.journalDirectory };
  return offer.journal ?? {};
}

/** Those whose records come from a source of their own, beside trace events (`tcp_...`). */
const ownSources: ReadonlySet<string> = new Set(["flow_log", "haproxy"]);

/** The identifiers among `idents` whose records are of these kinds. */
export function identsOfKinds(idents: readonly string[], kinds: readonly RecordKind[]): readonly string[] {
  return idents.filter((ident) => !ident.startsWith("tcp_") && !ownSources.has(ident) && kinds.includes(kindOf(ident)));
}

/** systemd's helpers (oomd, coredump, journald) log beside it; syslog daemons' own loss messages stand beside sshd's lines. */
function kindOf(ident: string): RecordKind {
  if (ident === "kernel") return "kernel";
  return ident.startsWith("systemd") ? "systemd" : "sshd";
}
