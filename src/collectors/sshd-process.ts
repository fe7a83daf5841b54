/**
 * Which process is sshd's listener and on which ports it listens: listening sockets of /proc/net/tcp and tcp6
 * (Documentation/networking/proc_net_tcp.rst) joined by inode with /proc/PID/fd of processes named sshd. Where
 * /proc/PID/fd may not be read: the ports of sshd_config, else 22.
 */
import { closeSync, openSync, readdirSync, readlinkSync, readSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HostPaths } from "../model/collector.ts";
import { isDenied, isGone, quote, readKernelFile } from "./kernel-file.ts";
import { readSshdConfig, settingsOf } from "./sshd-settings.ts";

export interface Listening {
  readonly port: number;
  readonly inode: string;
}

export interface SshdPorts {
  readonly ports: readonly number[];
  /** flag: given by the user. listening: held by sshd. configuration and default: not proven to be sshd's. */
  readonly source: "flag" | "listening" | "configuration" | "default";
  /** The listener's process, where it was found. */
  readonly pid?: number;
  /** Its listening sockets, where /proc/PID/fd may be read. */
  readonly held: readonly HeldSocket[];
  /** Every port of this network namespace that something listened on. */
  readonly open: readonly number[];
}

/** `/proc/PID/fd/N` and what it points to while the socket is open. */
export interface HeldSocket {
  readonly port: number;
  readonly path: string;
  readonly target: string;
}

const maxFds = 4096;
/** Each session has a process, of some ten descriptors. */
const daemonsPerTurn = 50;
const maxTableBytes = 4 * 1024 * 1024;
/** One row of /proc/net/tcp. */
const rowBytes = 150;
/** With more listening sockets than this, all are read at once. */
const manyRows = 100;
const notListening = /^ *\d+: \S+ \S+ (?!0A)[0-9A-F]{2} /m;

/**
 * What may not be read, or is not there, leads to the next source; other failures throw (no descriptors left).
 * `given` is `--sshd.port`.
 */
export async function findSshdPorts(paths: HostPaths, given: readonly number[] = []): Promise<SshdPorts> {
  const listening = readListeningQuietly(paths);
  const pids = await sshdPids(paths);
  const { held, pid } = await heldBy(paths, pids, listening, given);
  const open = unique(listening.map(({ port }) => port));
  const process = pid === undefined ? { held, open } : { held, open, pid };
  if (given.length > 0) return { ports: unique(given), source: "flag", ...process };
  if (held.length > 0) return { ports: unique(held.map(({ port }) => port)), source: "listening", ...process };
  try {
    const { ports } = settingsOf(readSshdConfig(paths.rootfs).lines);
    if (ports.length > 0) return { ports: unique(ports), source: "configuration", ...process };
  } catch {
    // unreadable or malformed: the sshd collector says so
  }
  return { ports: [22], source: "default", ...process };
}

function readListeningQuietly(paths: HostPaths): Listening[] {
  try {
    return readListening(paths.procfs);
  } catch {
    return [];
  }
}

/** Listening TCP sockets of this network namespace, IPv4 and IPv6. */
export function readListening(procfs: string): Listening[] {
  return tablesOf(procfs).flatMap((path) => {
    let text = "";
    for (const piece of readPieces(path, 64 * 1024)) {
      text += piece;
      if (notListening.test(text)) break;
    }
    return parseListening(text, path);
  });
}

/**
 * Whether something listens on each of these ports. Row by row: after the last listening socket the kernel walks its
 * whole table of connections, which takes milliseconds on a large host.
 */
export function allListenedOn(procfs: string, ports: readonly number[]): boolean {
  const wanted = new Set(ports);
  for (const path of tablesOf(procfs)) {
    let text = "";
    for (const piece of readPieces(path, rowBytes)) {
      text += piece;
      for (const { port } of parseListening(text.slice(0, text.lastIndexOf("\n") + 1), path)) wanted.delete(port);
      if (wanted.size === 0) return true;
      if (notListening.test(text)) break;
      if (text.length > manyRows * rowBytes) {
        const open = new Set(readListening(procfs).map(({ port }) => port));
        return ports.every((port) => open.has(port));
      }
    }
  }
  return false;
}

const tablesOf = (procfs: string): readonly string[] => ["tcp", "tcp6"].map((file) => join(procfs, "net", file));

/** The kernel lists listening sockets first: the first pieces are enough, however many connections follow. */
function* readPieces(path: string, pieceBytes: number): Generator<string> {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  try {
    const piece = Buffer.allocUnsafe(pieceBytes);
    for (let total = 0; total <= maxTableBytes; ) {
      const got = readSync(fd, piece, 0, piece.length, null);
      if (got === 0) return;
      total += got;
      yield piece.toString("latin1", 0, got);
    }
  } finally {
    closeSync(fd);
  }
}

/** Rows up to the first that is not in state 0A (TCP_LISTEN). Throws on a row that is none. */
export function parseListening(text: string, path: string): Listening[] {
  const found: Listening[] = [];
  for (const row of text.split("\n").slice(1)) {
    if (row.trim() === "") continue;
    const [, local = "", , state, , , , , , inode = ""] = row.trim().split(/\s+/);
    if (state !== "0A") break;
    const port = /^[0-9A-F]{8,32}:([0-9A-F]{4})$/.exec(local)?.[1];
    if (port === undefined || !/^\d+$/.test(inode)) throw new Error(`${path}: ${quote(row)} is no socket`);
    found.push({ port: Number.parseInt(port, 16), inode });
  }
  return found;
}

/**
 * Processes named sshd of root (anybody may call a process so) or of our own user, in this network namespace (containers
 * have theirs): the one of the pid file, else all of them.
 */
async function sshdPids({ procfs, rootfs }: HostPaths): Promise<number[]> {
  const named = readQuietly(join(rootfs, "run/sshd.pid"))?.trim() ?? "";
  if (/^\d{1,10}$/.test(named) && isSshd(procfs, named)) return [Number(named)];
  const pids: number[] = [];
  let looked = 0;
  for (const name of namesIn(procfs)) {
    if (!/^\d+$/.test(name)) continue;
    if (isSshd(procfs, name)) pids.push(Number(name));
    if (++looked % 500 === 0) await nextTurn(); // hosts with many thousand processes
  }
  return pids.sort((a, b) => a - b);
}

function isSshd(procfs: string, pid: string): boolean {
  if (readQuietly(join(procfs, pid, "comm")) !== "sshd\n") return false;
  const owner = statQuietly(join(procfs, pid))?.uid;
  if (owner !== 0 && owner !== process.getuid?.()) return false;
  const theirs = inodeOf(join(procfs, pid, "net/tcp"));
  return theirs === undefined || theirs === inodeOf(join(procfs, "net/tcp"));
}

/** Each network namespace has files of its own below /proc/PID/net, and everybody may see which. */
function inodeOf(path: string): number | undefined {
  return statQuietly(path)?.ino;
}

function statQuietly(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (isDenied(error) || isGone(error)) return undefined;
    throw error;
  }
}

/**
 * Listening sockets that the processes hold, and the listener: the first that holds one of the given ports, or any. An
 * sshd of another network namespace (a container's) holds none of ours.
 */
async function heldBy(
  { procfs }: HostPaths,
  pids: readonly number[],
  listening: readonly Listening[],
  given: readonly number[],
): Promise<{ held: HeldSocket[]; pid?: number }> {
  const portOf = new Map(listening.map(({ inode, port }) => [`socket:[${inode}]`, port]));
  const daemons = [];
  for (const [index, pid] of pids.entries()) {
    if (index > 0 && index % daemonsPerTurn === 0) await nextTurn();
    daemons.push({ pid, ...descriptorsOf(join(procfs, String(pid), "fd"), portOf) });
  }
  const listener =
    daemons.find(({ sockets }) => sockets.some(({ port }) => given.includes(port))) ??
    daemons.find(({ sockets }) => sockets.length > 0) ??
    daemons.find(({ pid, readable }) => !readable && isTitledListener(procfs, pid));
  const held = daemons.flatMap(({ sockets }) => sockets);
  return listener === undefined ? { held } : { held, pid: listener.pid };
}

/** root without CAP_SYS_PTRACE may list the descriptors of root's processes, and not read where they lead. */
function descriptorsOf(
  folder: string,
  portOf: ReadonlyMap<string, number>,
): { readonly readable: boolean; readonly sockets: readonly HeldSocket[] } {
  const links = namesIn(folder)
    .slice(0, maxFds)
    .map((fd) => ({ path: join(folder, fd), target: linkQuietly(join(folder, fd)) }));
  const sockets = links.flatMap((link) => {
    const port = portOf.get(link.target);
    return port === undefined ? [] : [{ port, ...link }];
  });
  return { readable: links.some(({ target }) => target !== ""), sockets };
}

/**
 * Ports that are listened on for certain, without a look into /proc/net/tcp, which costs milliseconds: those whose socket
 * the process still has open; where that may not be read, all that were open while its title still says listener.
 */
export function stillListening({ procfs }: HostPaths, { held, open, pid }: SshdPorts): readonly number[] {
  if (held.length > 0) return held.filter(({ path, target }) => linkQuietly(path) === target).map(({ port }) => port);
  return pid !== undefined && isTitledListener(procfs, pid) ? open : [];
}

function isTitledListener(procfs: string, pid: number): boolean {
  return parseListenerTitle(readQuietly(join(procfs, String(pid), "cmdline")) ?? "") !== undefined;
}

/** The file that `-f` names on the listener's command line, also where the title has replaced it. */
export function configPathOf(cmdline: string): string | undefined {
  return /[ \0]-f[ \0]?(\/[^ \0]+)/.exec(cmdline)?.[1];
}

/** `sshd: /usr/sbin/sshd -D [listener] 3 of 10-100 startups` (since OpenSSH 8.2, sshd.c server_accept_loop). */
export function parseListenerTitle(
  cmdline: string,
): { unauthenticated: number; begin: number; full: number } | undefined {
  const title = /^sshd: [^\0]{0,4000} \[listener\] (\d{1,9}) of (\d{1,9})-(\d{1,9}) startups\0*$/.exec(cmdline);
  if (title === null) return undefined;
  return { unauthenticated: Number(title[1]), begin: Number(title[2]), full: Number(title[3]) };
}

/** Processes come and go, and others' are not ours to read. */
function readQuietly(path: string): string | undefined {
  try {
    return readKernelFile(path);
  } catch (error) {
    if (isDenied(error)) return undefined;
    throw error;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function linkQuietly(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}

function unique(ports: readonly number[]): number[] {
  return [...new Set(ports)].sort((a, b) => a - b);
}
