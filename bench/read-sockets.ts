/** The collector's reading of the SSH sockets on this port, in the network namespace that this is started in: JSON of its cost. */
import { readFileSync } from "node:fs";
import { readSockets } from "../src/collectors/sockets.ts";
import { median } from "./statistics.ts";

const readings = 7;
const port = Number(process.argv[2]);
const wallMs: number[] = [];
const ownMs: number[] = [];
const ssMs: number[] = [];
let sockets = 0;
for (let i = 0; i < readings; i++) {
  const childrenBefore = childrenCpuMs();
  const before = process.cpuUsage();
  const startMs = performance.now();
  sockets = (await readSockets([port], Date.now, new AbortController().signal)).sockets.length;
  wallMs.push(performance.now() - startMs);
  const { user, system } = process.cpuUsage(before);
  ownMs.push((user + system) / 1000);
  ssMs.push(childrenCpuMs() - childrenBefore);
}
process.stdout.write(JSON.stringify({ sockets, wallMs: median(wallMs), ownMs: median(ownMs), ssMs: median(ssMs) }));

/** proc_pid_stat(5): cutime and cstime, in hundredths of a second. */
function childrenCpuMs(): number {
  const fields = readFileSync("/proc/self/stat", "latin1").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[13]) + Number(fields[14])) * 10;
}
