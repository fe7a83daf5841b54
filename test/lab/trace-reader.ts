/** In a process of its own, so that it can be killed at any time: reset events at port 22 as JSON lines. argv: TRACEFS PROCFS. */
import { createTcpTraceSource } from "../../src/sources/tcp-trace.ts";

const [tracefs = "", procfs = ""] = process.argv.slice(2);
/** Of all hosts: the lab tells them apart by their address. */
const everyAddress = { has: () => true } as unknown as ReadonlySet<string>;
const source = createTcpTraceSource({
  ...{ tracefs, procfs, position: undefined, fromBeginning: false, idents: [] },
  ports: () => [22],
  localAddresses: () => everyAddress,
  onWarning: (message, details) => process.stderr.write(`lab: recording: ${message} ${JSON.stringify(details)}\n`),
});
process.stdin.on("end", () => process.exit(0)).resume();
for await (const { records } of source.batches(new AbortController().signal)) {
  process.stdout.write(records.map((record) => `${JSON.stringify(record)}\n`).join(""));
}
