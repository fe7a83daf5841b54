/**
 * What a program costs: CPU seconds of the process with all its children, resident memory, open descriptors.
 * Source: proc_pid_stat(5) (utime, stime and those of waited-for children), proc_pid_status(5), bash(1) TIMEFORMAT.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";

const ticksPerSecond = 100;

/** Of a living process, its children that it waited for, and those that live. */
export function cpuSeconds(pid: number): number {
  const fields = statFields(pid);
  if (fields === undefined) return 0;
  const own = [11, 12, 13, 14].reduce((sum, place) => sum + Number(fields[place]), 0) / ticksPerSecond;
  return childrenOf(pid).reduce((sum, child) => sum + cpuSeconds(child), own);
}

export interface Memory {
  /** Peak and present resident memory of the process and its living children. */
  readonly peak: number;
  readonly now: number;
  /** Peak and present resident memory of the process alone. */
  readonly ownPeak: number;
  readonly own: number;
  /** Of the children: what is theirs alone, and the files that they map, which are the page cache's. */
  readonly childrensOwn: number;
  readonly childrensMaps: number;
}

/** In MB. */
export function memoryMb(pid: number): Memory {
  const own = statusMb(pid);
  const children = childrenOf(pid).map((child) => ({ ...memoryMb(child), ...statusMb(child) }));
  const sum = (of: (child: (typeof children)[number]) => number): number =>
    children.reduce((total, child) => total + of(child), 0);
  return {
    peak: own.ownPeak + sum((child) => child.peak),
    now: own.own + sum((child) => child.now),
    ownPeak: own.ownPeak,
    own: own.own,
    childrensOwn: sum((child) => child.anonymous + child.childrensOwn),
    childrensMaps: sum((child) => child.maps + child.childrensMaps),
  };
}

function statusMb(pid: number): { ownPeak: number; own: number; anonymous: number; maps: number } {
  const status = readOrEmpty(`/proc/${pid}/status`);
  const field = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0) / 1000;
  return { ownPeak: field("VmHWM"), own: field("VmRSS"), anonymous: field("RssAnon"), maps: field("RssFile") };
}

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function childrenOf(pid: number): number[] {
  return readOrEmpty(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
}

function statFields(pid: number): string[] | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  return text === "" ? undefined : text.slice(text.lastIndexOf(") ") + 2).split(" ");
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

export interface Finished {
  readonly cpuSeconds: number;
  readonly peakMb: number;
  readonly stdout: string;
}

/** Runs a program to its end. Throws with its own words unless it ends with 0. */
export async function runToEnd(file: string, args: readonly string[], env = process.env): Promise<Finished> {
  const child = spawn("bash", ["-c", 'TIMEFORMAT="cpu %U %S"; time "$@"', "bench", file, ...args], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let peakMb = 0;
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk));
  child.stderr.on("data", (chunk: Buffer) => (stderr = (stderr + chunk).slice(-4000)));
  const watch = setInterval(() => {
    const [inner] = childrenOf(child.pid ?? 0);
    if (inner !== undefined) peakMb = Math.max(peakMb, memoryMb(inner).peak);
  }, 20);
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  clearInterval(watch);
  const times = /cpu ([\d.]+) ([\d.]+)\s*$/.exec(stderr);
  if (code !== 0 || times === null) throw new Error(`${file} ended with ${code}: ${stderr}`);
  return { cpuSeconds: Number(times[1]) + Number(times[2]), peakMb, stdout };
}
