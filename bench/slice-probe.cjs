/**
 * Loaded into the exporter (NODE_OPTIONS=--require), begins at SIGUSR2: the most CPU time that its main thread used
 * between two turns of the event loop, an upper bound of its longest synchronous slice. Source: proc_pid_schedstat(5), first field, ns on a CPU.
 */
const { openSync, readSync, writeFileSync } = require("node:fs");

const file = process.env.SLICES_FILE;
if (file !== undefined && process.argv[1]?.endsWith("main.js")) {
  const fd = openSync("/proc/thread-self/schedstat", "r");
  const buffer = Buffer.alloc(64);
  const onCpuNs = () => Number(buffer.toString("latin1", 0, readSync(fd, buffer, 0, 64, 0)).split(" ", 1)[0]);
  // Not before: start-up compiles the program, and nobody waits for it yet.
  process.once("SIGUSR2", () => {
    let longestNs = 0;
    let before = onCpuNs();
    setInterval(() => {
      const now = onCpuNs();
      longestNs = Math.max(longestNs, now - before);
      before = now;
    }, 1).unref();
    setInterval(() => writeFileSync(file, String(longestNs / 1e6)), 500).unref();
  });
}
