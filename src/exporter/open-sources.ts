/** Which sources run on this host and what each needs: the configuration's wishes against what the host offers. */
import { accessSync, constants } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config/error.ts";
import type { Config } from "../config/options.ts";
import type { SourceName } from "../model/record.ts";
import type { Position, Source, SourceStart } from "../model/source.ts";
import { idents } from "../parsers/index.ts";
import { SshdBytes } from "../parsers/sshd-bytes.ts";
import { createFlowLogSource } from "../sources/flow-log.ts";
import { createHaproxySource } from "../sources/haproxy.ts";
import { NotRegularFile } from "../sources/held-file.ts";
import { createJournalSource, type JournalPlace } from "../sources/journal.ts";
import { createKmsgSource } from "../sources/kmsg.ts";
import { createLogfileSource } from "../sources/logfile.ts";
import { offeredSources } from "../sources/offer.ts";
import { identsOfKinds, recordKinds, SourceConflict, type SourceSelection, selectSources } from "../sources/select.ts";
import { createTcpTraceSource, preparedInstance } from "../sources/tcp-trace.ts";
import type { Part } from "../web/status-page.ts";

export interface SourcePlan {
  readonly names: readonly SourceName[];
  readonly selection: SourceSelection;
  /** For the status page: what is not read here, why, and what would change that. */
  readonly absent: readonly Part[];
}

/** Throws ConfigError for two sources of the same records. */
export function planSources(config: Config): SourcePlan {
  const offer = offeredSources(config["path.rootfs"]);
  let selection: SourceSelection;
  try {
    selection = selectSources(
      {
        logfiles: config["source.logfile"],
        journal: config["source.journal"],
        kmsg: config["source.kmsg"],
        ...(config["source.journal.directory"] !== undefined && {
          journalDirectory: config["source.journal.directory"],
        }),
        ...(config["source.journal.file"] !== undefined && { journalFile: config["source.journal.file"] }),
      },
      offer,
    );
  } catch (error) {
    if (error instanceof SourceConflict) throw new ConfigError(error.message);
    throw error;
  }
  const tracefs = config["path.tracefs"];
  const trace = config["source.tcp-trace"] ?? offersTrace(tracefs);
  const names: SourceName[] = [];
  if (selection.journal) names.push("journal");
  if (selection.logfile) names.push("logfile");
  if (selection.kmsg) names.push("kmsg");
  if (trace) names.push("tcp_trace");
  if (config["source.flow-log"].length > 0) names.push("flow_log");
  if (config["source.haproxy-log"].length > 0) names.push("haproxy");
  const absent: Part[] = selection.unread.map(({ kind, reason }) => ({
    name: `${kind} records`,
    state: "absent",
    note: reason,
    grant: "membership in the group systemd-journal, or in adm for the files below /var/log",
  }));
  if (!trace && config["source.tcp-trace"] === undefined) {
    absent.push({
      name: "tcp_trace",
      state: "absent",
      note: `${tracefs} has no TCP reset events that this user can read: resets are told from the logs alone`,
      grant: `as root: mount -t tracefs tracefs ${tracefs}; ssh-reset-exporter observe trace --group GROUP, then restart`,
    });
  }
  return { names, selection, absent };
}

/** A prepared instance that this user may read, or the right to make one. */
function offersTrace(tracefs: string): boolean {
  const instances = join(tracefs, "instances");
  return (
    mayAccess(join(instances, preparedInstance, "trace_pipe"), constants.R_OK) || mayAccess(instances, constants.W_OK)
  );
}

function mayAccess(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

export interface SourceNeeds {
  readonly config: Config;
  readonly position: (source: SourceName) => Position | undefined;
  readonly sshdPorts: () => readonly number[];
  readonly onWarning: SourceStart["onWarning"];
}

/** Opens nothing yet: a source starts when its batches are asked for. Throws ConfigError for a path that is no file. */
export function openSources({ selection, names }: SourcePlan, needs: SourceNeeds): readonly Source[] {
  const { config, onWarning } = needs;
  const start = (source: SourceName, wanted: readonly string[]): SourceStart => ({
    position: needs.position(source),
    fromBeginning: config["source.from-beginning"],
    idents: wanted,
    onWarning,
  });
  const sources: Source[] = [];
  const { journal, logfile, kmsg } = selection;
  if (journal) {
    sources.push(
      createJournalSource({ ...start("journal", identsOfKinds(idents, journal.kinds)), ...placeOf(journal) }),
    );
  }
  if (logfile) {
    const kinds = recordKinds.filter((kind) => logfile.some((file) => file.kinds.includes(kind)));
    const options = {
      ...start("logfile", identsOfKinds(idents, kinds)),
      paths: logfile.map(({ path }) => path),
      identsByPath: Object.fromEntries(logfile.map((file) => [file.path, identsOfKinds(idents, file.kinds)])),
      // Evidence lines are quoted: then all records need their text.
      ...(!config["web.show-evidence"] && { reader: new SshdBytes() }),
    };
    sources.push(regularFiles("--source.logfile", () => createLogfileSource(options)));
  }
  if (kmsg) sources.push(createKmsgSource(start("kmsg", ["kernel"])));
  if (names.includes("tcp_trace")) {
    const { "path.tracefs": tracefs, "path.procfs": procfs } = config;
    sources.push(createTcpTraceSource({ ...start("tcp_trace", []), tracefs, procfs, ports: needs.sshdPorts }));
  }
  if (names.includes("flow_log")) {
    const paths = config["source.flow-log"];
    sources.push(createFlowLogSource({ ...start("flow_log", []), paths, ports: needs.sshdPorts }));
  }
  if (names.includes("haproxy")) {
    const { "source.haproxy-log": paths, "source.haproxy-backend": backends } = config;
    const options = { ...start("haproxy", []), paths, backends, journal: journalOf(config) };
    sources.push(regularFiles("--source.haproxy-log", () => createHaproxySource(options)));
  }
  return sources;
}

/** The journal that is named, whether sshd is read from it or not. */
export function journalOf(config: Config): JournalPlace {
  const { "source.journal.directory": directory, "source.journal.file": file } = config;
  return { ...(directory !== undefined && { directory }), ...(file !== undefined && { file }) };
}

/** Where this selection's journal is, for journalctl. */
export function placeOf({ directory, file }: NonNullable<SourceSelection["journal"]>): JournalPlace {
  return { ...(directory !== undefined && { directory }), ...(file !== undefined && { file }) };
}

function regularFiles(flag: string, open: () => Source): Source {
  try {
    return open();
  } catch (error) {
    if (error instanceof NotRegularFile) throw new ConfigError(`${flag}: ${error.message}`);
    throw error;
  }
}
