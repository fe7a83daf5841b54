/**
 * The TCP trace source in a process of its own, to be stopped and killed: TRACEFS PORT POSITION_FILE. Writes the position
 * after every batch, as a commit would, and at SIGTERM what it counted and the CPU seconds that this took.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createTcpTraceSource } from "../../src/sources/tcp-trace.ts";

const [tracefs = "", port = "", positionFile = ""] = process.argv.slice(2);
const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const source = createTcpTraceSource({
  position: existsSync(positionFile) ? JSON.parse(readFileSync(positionFile, "utf8")) : undefined,
  fromBeginning: false,
  idents: [],
  onWarning: (message, details) => process.stderr.write(`${message} ${JSON.stringify(details)}\n`),
  tracefs,
  procfs: "/proc",
  ports: () => [Number(port)],
});
let records = 0;
let lost = 0;
let cpuAtStart: NodeJS.CpuUsage | undefined;
for await (const batch of source.batches(stop.signal)) {
  cpuAtStart ??= process.cpuUsage();
  records += batch.records.length;
  lost += batch.lost;
  writeFileSync(positionFile, JSON.stringify(batch.position));
}
const { user, system } = process.cpuUsage(cpuAtStart);
process.stdout.write(JSON.stringify({ records, lost, cpuSeconds: (user + system) / 1e6 }));
