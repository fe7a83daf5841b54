/** What this host has of a window: its logs, what an exporter kept, collectors and host facts of now. */
import { findSshdPorts } from "../collectors/sshd-process.ts";
import { ConfigError } from "../config/error.ts";
import type { Config } from "../config/options.ts";
import { ownNetNamespace } from "../exporter/net-namespace.ts";
import { journalOf } from "../exporter/open-sources.ts";
import { stateDirectory } from "../exporter/state-directory.ts";
import { isTrusted, parse } from "../parsers/index.ts";
import { offeredSources } from "../sources/offer.ts";
import { recordKinds, SourceConflict, type SourceSelection, selectSources } from "../sources/select.ts";
import type { Material, Rest } from "./diagnose.ts";
import { knownFromLogs } from "./known-peers.ts";
import { readCollectors, readHostFacts } from "./live.ts";
import type { Observation } from "./observation.ts";
import { logGrant, readWindow, type SourceRead } from "./read-window.ts";
import { warmUpMs } from "./replay.ts";
import { savedState } from "./saved-state.ts";
import type { TimeWindow } from "./time-window.ts";

/** Peers that logged in before the window are looked for this long. */
const historyLimitMs = 10_000;
/** A window that ends so long ago says nothing of now. */
const nowMs = 60_000;

const lasting = /^sshreset_(?:scrape_collector_|sshd_client_alive_|sshd_tcp_keepalive$|tcp_keepalive_)/;

/** Throws ConfigError for two sources of the same records. */
export function hostMaterial(
  config: Config,
  window: TimeWindow,
  onProgress: (bytes: number, timeMs: number | undefined) => void,
): Material {
  const selection = select(config);
  const { path } = stateDirectory(config["state.directory"]);
  const saved = savedState(path);
  const isNow = Date.now() - window.toMs < nowMs;
  const collectors = readCollectors(config);
  const host = config["path.rootfs"] === "/" ? readHostFacts() : undefined;
  const reading = readWindow({
    selection,
    window: { ...window, fromMs: window.fromMs - warmUpMs },
    signal: new AbortController().signal,
    onProgress,
    flowLogs: { paths: config["source.flow-log"], ports: () => portsOf(config) },
    haproxy: {
      paths: config["source.haproxy-log"],
      backends: config["source.haproxy-backend"],
      journal: journalOf(config),
    },
  });
  const netNamespace = ownNetNamespace(config["path.procfs"]);
  const notes: string[] = [];
  let unmatched = 0;
  const observations = async function* () {
    for await (const records of reading.records) {
      const batch: Observation[] = [];
      for (const record of records) {
        const event = parse(record);
        if (event === undefined) unmatched += isTrusted(record) ? 1 : 0;
        else if (event.kind !== "noted") batch.push({ event, record });
      }
      yield batch;
    }
  };
  return {
    window,
    kernelRead: readsKernel(selection),
    ...(netNamespace !== undefined && { netNamespace }),
    observations: observations(),
    known: async () => {
      if (saved.known !== undefined && saved.known.length > 0) return saved.known;
      const { peers, complete } = await knownFromLogs({
        selection,
        untilMs: window.fromMs,
        timeLimitMs: historyLimitMs,
      });
      if (!complete) notes.push("the logs before the window were not read to their end: some peers may not be known.");
      return peers;
    },
    peers: {
      proxies: config["peers.proxy"],
      healthChecks: config["peers.health-check"],
      ipv6PrefixLength: config["peers.prefix-length"],
    },
    ...(saved.samples !== undefined && { saved: saved.samples }),
    async rest(): Promise<Rest> {
      const facts = await host;
      const { samples } = await collectors;
      if (saved.reason !== undefined) {
        notes.push(
          `${saved.reason}. What only the kernel counts is ${isNow ? "judged by its value of now, and unknown where that says too little" : "unknown"}.`,
        );
      }
      return {
        sources: [...reading.sources(), ...unread(selection)],
        // Of a window that is over they say only what this host grants, and what is set.
        live: isNow ? samples : samples.filter(({ name }) => lasting.test(name)),
        ...(facts !== undefined && { host: facts }),
        unmatched,
        notes,
      };
    },
  };
}

/** As the exporter selects, but for the kernel's lines: the journal and files reach back further than the ring buffer. */
function select(config: Config): SourceSelection {
  const offer = offeredSources(config["path.rootfs"]);
  const { "source.journal.directory": directory, "source.journal.file": file } = config;
  const wish = {
    logfiles: config["source.logfile"],
    journal: config["source.journal"],
    ...(directory !== undefined && { journalDirectory: directory }),
    ...(file !== undefined && { journalFile: file }),
  };
  try {
    const kmsg = config["source.kmsg"];
    if (kmsg !== undefined) return selectSources({ ...wish, kmsg }, offer);
    const without = selectSources({ ...wish, kmsg: false }, offer);
    const hasKernel = !without.unread.some(({ kind }) => kind === "kernel");
    return hasKernel || !offer.kmsg ? without : selectSources({ ...wish, kmsg: true }, offer);
  } catch (error) {
    if (error instanceof SourceConflict) throw new ConfigError(error.message);
    throw error;
  }
}

async function portsOf(config: Config): Promise<readonly number[]> {
  const paths = {
    procfs: config["path.procfs"],
    sysfs: config["path.sysfs"],
    rootfs: config["path.rootfs"],
    tracefs: config["path.tracefs"],
  };
  return (await findSshdPorts(paths, config["sshd.port"])).ports;
}

/** A file that the user names may hold the kernel's lines or not: the first one will show. */
function readsKernel({ journal, logfile = [], kmsg, unread: kinds }: SourceSelection): boolean {
  if (journal?.kinds.includes("kernel") === true || kmsg !== undefined) return true;
  const named = logfile.every((file) => file.kinds.length === recordKinds.length);
  return !named && !kinds.some(({ kind }) => kind === "kernel");
}

/** Kinds of records that there is no source for at all. */
function unread({ unread: kinds }: SourceSelection): readonly SourceRead[] {
  return kinds.map(({ kind, reason }) => ({
    source: kind === "kernel" ? "kmsg" : "logfile",
    from: `${kind} records`,
    records: 0,
    missing: { reason, grant: `membership in the group systemd-journal, or ${logGrant}` },
  }));
}
