/**
 * What the control group of a process limits and has already refused: version 2 (Documentation/admin-guide/cgroup-v2.rst:
 * pids.{current,max,events}, memory.{current,max,events}) and version 1 (cgroup-v1/pids.rst, cgroup-v1/memory.rst:
 * memory.failcnt, memory.oom_control), also side by side ("hybrid").
 */
import { join } from "node:path";
import { parseCount, quote, readKernelFile } from "./kernel-file.ts";

export interface CgroupReading {
  readonly tasks?: number;
  /** Undefined: no limit. */
  readonly tasksLimit?: number;
  readonly memoryBytes?: number;
  readonly memoryLimitBytes?: number;
  /** How often a fork was refused. */
  readonly forksRefused?: number;
  readonly memoryEvents: Readonly<Partial<Record<MemoryEvent, number>>>;
}

export const memoryEvents = ["high", "max", "oom", "oom_kill"] as const;
export type MemoryEvent = (typeof memoryEvents)[number];

/** Controller (`""` for version 2) to path, of /proc/PID/cgroup: `0::/system.slice/ssh.service`, `8:pids:/...`. */
export function parseProcCgroup(text: string, path: string): Map<string, string> {
  const paths = new Map<string, string>();
  for (const line of text.trimEnd().split("\n")) {
    const parts = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (parts === null) throw new Error(`${path}: ${quote(line)} is no control group`);
    // The root group is the whole host's, and `..` leads out of what our own cgroup namespace shows.
    if (parts[2] === "/" || parts[2]?.includes("/..")) continue;
    for (const controller of (parts[1] ?? "").split(",")) paths.set(controller, parts[2] ?? "");
  }
  return paths;
}

/** Only what the controllers of this host give. `paths` as parseProcCgroup returns them. */
export function readCgroup(sysfs: string, paths: ReadonlyMap<string, string>, read = readKernelFile): CgroupReading {
  const root = join(sysfs, "fs/cgroup");
  const first = (controller: string): Reader => {
    const path = paths.get(controller);
    if (path !== undefined) return reader(join(root, controller, path), read);
    const unified = paths.get("");
    return unified === undefined ? () => undefined : reader(join(root, unified), read);
  };
  const pids = first("pids");
  const memory = first("memory");
  const version2 = !paths.has("memory");
  return withoutUndefined({
    tasks: count(pids("pids.current")),
    tasksLimit: limit(pids("pids.max")),
    forksRefused: keyed(pids("pids.events")).get("max"),
    memoryBytes: count(memory(version2 ? "memory.current" : "memory.usage_in_bytes")),
    memoryLimitBytes: limit(memory(version2 ? "memory.max" : "memory.limit_in_bytes")),
    memoryEvents: version2 ? events2(keyed(memory("memory.events"))) : events1(memory),
  });
}

interface FileText {
  readonly path: string;
  readonly text: string;
}
type Reader = (file: string) => FileText | undefined;

function reader(folder: string, read: typeof readKernelFile): Reader {
  return (file) => {
    const path = join(folder, file);
    const text = read(path)?.trim();
    return text === undefined ? undefined : { path, text };
  };
}

function count(file: FileText | undefined): number | undefined {
  return file === undefined ? undefined : parseCount(file.text, file.path);
}

/** Version 2 says `max`; version 1 a number of pages that no host has. */
function limit(file: FileText | undefined): number | undefined {
  if (file === undefined || file.text === "max") return undefined;
  const value = parseCount(file.text, file.path);
  return value >= 2 ** 62 ? undefined : value;
}

/** Lines `key number`. */
function keyed(file: FileText | undefined): Map<string, number> {
  const values = new Map<string, number>();
  for (const line of file === undefined ? [] : file.text.split("\n")) {
    const [key = "", value] = line.split(" ");
    values.set(key, parseCount(value, `${file?.path}: ${key}`));
  }
  return values;
}

function events2(values: ReadonlyMap<string, number>): CgroupReading["memoryEvents"] {
  return Object.fromEntries(memoryEvents.flatMap((event) => (values.has(event) ? [[event, values.get(event)]] : [])));
}

/** failcnt is version 1's `max`; oom_control has had `oom_kill` since 4.13. */
function events1(memory: Reader): CgroupReading["memoryEvents"] {
  return withoutUndefined({
    max: count(memory("memory.failcnt")),
    oom_kill: keyed(memory("memory.oom_control")).get("oom_kill"),
  });
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}
