/**
 * `npm run bench`: every figure of docs/benchmarks.md, measured beside what one would use instead. `--only NAME`, as often
 * as wanted, measures some of them anew; the others stay as bench/results.json has them. Needs the built exporter.
 * `--only soak --minutes N`: a shorter soak, to look at; its figures are not kept.
 * CPU seconds (user and system, with children) and ratios count: wall times on a busy machine do not.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg, release } from "node:os";
import { parseArgs } from "node:util";
import { debian } from "../tools/debian.ts";
import { bounded, interfaces } from "./bounded.ts";
import { kernelEvidence } from "./kernel-evidence.ts";
import { lossless } from "./lossless.ts";
import { rates } from "./rates.ts";
import { readAuthLog, readJournal, readManyPeers } from "./reading.ts";
import { type Bench, inFolder, type Row } from "./rows.ts";
import { followLog, scrape, seen, startAndIdle } from "./running.ts";
import { soakBench } from "./soak.ts";

const { values } = parseArgs({
  options: { only: { type: "string", multiple: true }, minutes: { type: "string" } },
});
const minutes = values.minutes === undefined ? undefined : Number(values.minutes);

const benches: Readonly<Record<string, Bench>> = {
  read: readAuthLog,
  peers: readManyPeers,
  journal: readJournal,
  follow: followLog,
  scrape,
  start: startAndIdle,
  seen,
  kernel: kernelEvidence,
  lossless,
  bounded,
  interfaces,
  rates,
  soak: soakBench(minutes),
};

interface Results {
  [name: string]: {
    readonly measured: string;
    /** Load average of five minutes: what the machine was busy with, the bench among it. */
    readonly load?: number;
    readonly rows: readonly Row[];
  };
}

/** What made a difference, measured by itself while it was written. */
const tried = `## What was tried

| change | gave |
|---|---|
| one bundle instead of 300 files | start 0.63 -> 0.40 CPU s, RSS -4 MB |
| prom-client writes only metrics that changed since the page before; labels as \`sharedLabels\` | with the next three: 12.4 -> 3.0 ms CPU a scrape |
| looking for sshd's port in /proc/net/tcp row by row: after the last listening socket the kernel walks its whole table | 10 ms a scrape on a host of 24 GB |
| \`gzipSync\` instead of \`gzip\` | 1.06 -> 0.5 ms for a page of 55 KB |
| verdicts kept between two judgements, only the kernel's tables that are read | 0.4 ms a scrape |
| forgetting ended connections by the log's time too | state 6.4 -> 0.6 MB, 5.2 -> 3.9 CPU s for 1 M lines |
| reading blocks from the held descriptor, not by a stream each | 0.4 CPU s for 1 M lines |
| \`--heap-growing-percent=30\`, 50, 100 with a young generation of 1 MB | 3 M lines: 17.7, 12.6, 11.3 CPU s at 95, 95, 106 MB; V8's own: 7 to 8.4 s at 170 MB |
| \`--no-parallel-scavenge\` beside it: threads cost more than they save on 1 MB | 4.5 -> 3.5 CPU s for 1 M lines |
| \`--max-semi-space-size=4\` with a growth of 60 %: only from the command line | 10 CPU s at 108 MB |
| \`MALLOC_ARENA_MAX=1\` in the environment (unit and image have it) | idle RSS 72.4 -> 69.5 MB, peak while reading 93 -> 87 MB |
| connections that hang in the key exchange looked for at each reading of the sockets, not at each scrape | 10,000 SSH sockets: 6.3 -> 3.75 ms CPU a scrape |
| small files of sshd, its control group and interfaces held open; no exception for a hosts file that is not there | 3.65 -> 3.29 ms CPU a scrape |
| interfaces read 50 to a turn of the event loop | 10,000 interfaces: longest slice 87 -> 16 to 20 ms |
| collectors read while the disk is waited for | not to be told from the machine's noise |
| log blocks read without a thread of their own | 3.55 -> 3.2 CPU s for 1 M lines |
| at most 25,000 connections, their places in a snapshot kept in them, not in sets and maps | snapshot of a full table 65 -> 12 ms |
| objects of one shape, a full table of shown peers asked only when one may make room, one string for an address | 650 -> 590 MB allocated for 1 M lines; CPU as before |
| addresses interned; ends remembered for 1 s, not 30; a young generation of 2 or 4 MB | nothing |
| \`--output-fields\` for the exporter's journalctl | 4.1 -> 7.6 CPU s for 200,000 entries: not kept |
| \`--max-old-space-size\`, \`--optimize-for-size\`, \`--lite-mode\` | nothing; -4 MB; -12 MB without a compiler |
| sshd's commonest messages read from their bytes, known headers at a glance | from bytes to event 0.40 -> 0.18 us a line |
| the same in one function with fixed offsets, by hand | 0.10 us: not kept, nobody could read it |
| texts in headers and messages compared four bytes at a time | 0.25 -> 0.19 us a line |
| connections found without key strings, objects used again, queues linked through their items | joining 0.57 -> 0.28 us a line, garbage collection of 2 M lines 0.77 -> 0.29 s |
| at most 256 held ends looked at for a line without peer or process | 80,000 such lines 50 -> 1.6 CPU s |
| what is kept of a peer in one table, numbers in arrays, instead of a Map for each kind of knowledge | 0.20 -> 0.08 us a line |
| label values without an array for each count | 32 MB of garbage less on 2 M lines |
| IPv6 networks cut from the text, not taken apart | 8.2 -> 0.17 us an address |
| records handed over 16 KB of lines at a time, so that fewer outlive a garbage collection | nothing: not kept |
| \`--max-inlined-bytecode-size-cumulative=400\`, \`--no-use-osr\`, \`--maglev\`, \`--interrupt-budget\` 4 and 16 times | nothing |
| state made into text in turns of the event loop, not copied first | full table of connections: longest slice 70 -> 26 ms |
| first blocks of a log short: code that is not compiled yet is ten times as slow | longest slice at the first lines 13 to 34 -> 12 to 16 ms |
| reset events taken 200 to a turn, a ring of 2 MB a CPU instead of 1 | 10,000 resets a second: 97,024 -> 100,000 of 100,000 counted; slices 80 -> 33 ms |
| sockets: one walk for all figures, idle ages as numbers, one piece of \`ss\` to a turn | 10,000 sockets: samples 9 -> 1 ms, table 9 -> 2 ms a reading |
| journal's entries read from its files where there is a backlog | 7.5 -> 3 us a record |
| journal: lines compared with those of the entry before, fields of a writer shared by its records | 3.7 -> 2.9 CPU s for 200,000 records |
| waiting 5 to 20 ms for larger pieces from journalctl; fewer matches | nothing; 0.8 us a record at best: not done |
| log file: a look is one read, a position is hashed when it is saved | following 1,000 lines a second: 21.7 -> 18.6 ms CPU a second |
| body-parser and iconv-lite left out, two files of systeminformation bundled instead of all loaded | start 0.37 -> 0.32 CPU s |
| a scrape waits until its commit outlives the process, not for the disk | scrapes that commit, median: 6.1 -> 4.8 ms |
| judged on samples of now, a commit for it only every fourth time | following 1,000 lines a second, commits: 4 -> 1 a minute |
| following measured after five minutes of warm-up, not one: V8 was still compiling | 11.5 -> 7.7 ms CPU a second |
| processes of connections in a flat table by process id, not in a Map | nothing: not kept |
| ended connections saved in columns, or as text of their own, not in rows | a fourth less text, as much CPU: not kept |
| \`--heap-growing-percent=30\` again, now that there is less garbage; 20; \`MALLOC_TRIM_THRESHOLD_\`, \`MALLOC_MMAP_THRESHOLD_\` | 4,000 lines a second: -1 to -3 MB at the same CPU; nothing; nothing |
`;

const resultsFile = new URL("results.json", import.meta.url).pathname;
const page = new URL("../docs/benchmarks.md", import.meta.url).pathname;

const unknown = values.only?.find((name) => !Object.hasOwn(benches, name));
if (unknown !== undefined) {
  process.stderr.write(`no bench "${unknown}"; there are: ${Object.keys(benches).join(", ")}\n`);
  process.exit(2);
}

const results: Results = existsSync(resultsFile) ? (JSON.parse(readFileSync(resultsFile, "utf8")) as Results) : {};
for (const [name, bench] of Object.entries(benches)) {
  if (values.only !== undefined && !values.only.includes(name)) continue;
  process.stdout.write(`${name}\n`);
  const rows = await inFolder((folder) => bench(folder, (text) => process.stdout.write(`  ${text}\n`)));
  for (const row of rows) process.stdout.write(`  ${row.work}: ${row.measured} (must ${row.must}, aim ${row.aim})\n`);
  if (name === "soak" && minutes !== undefined) continue;
  results[name] = {
    measured: new Date().toISOString().slice(0, 10),
    load: Math.round(loadavg()[1] ?? 0),
    rows,
  };
  writeFileSync(resultsFile, `${JSON.stringify(results, null, 2)}\n`);
  writeFileSync(page, await document(results));
}

async function document(results: Results): Promise<string> {
  const mtail = await debian("mtail", "trixie");
  const nodeExporter = await debian("prometheus-node-exporter");
  const firstLine = (file: string, ...args: string[]): string =>
    execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).split("\n")[0] ?? "";
  const version = (text: string): string => /\d+\.\d+[\w.~-]*/.exec(text)?.[0] ?? text;
  const lines = Object.keys(benches).flatMap((name) => {
    const result = results[name];
    return (result?.rows ?? []).map(
      (row) =>
        `| ${name} | ${row.work} | ${row.must} | ${row.aim} | ${row.measured} | ${result?.measured} | ${result?.load ?? ""} |`,
    );
  });
  return `# Benchmarks

Written by \`npm run bench\`; \`npm run bench -- --only NAME\` measures one row anew. Corpora are seeded, competitors run in
the same run and take turns with the exporter, figures are medians. CPU is user and system time of the whole process tree:
on a busy machine it is what can be compared, with some doubt: the same work costs up to half more where everything else
runs too. Times and p99 say nothing at a load (average of five minutes) far above the number of CPUs.

Measured with Linux ${release()}, ${cpus().length} CPUs (${cpus()[0]?.model.trim()}), Node ${process.versions.node}, mtail ${version(firstLine(mtail.path, "-version"))}, node_exporter ${version(firstLine(nodeExporter.path, "--version"))}, ${firstLine("grep", "--version")}, ${firstLine("tail", "--version")}.

| bench | work | must | aim | measured | on | load |
|---|---|---|---|---|---|---|
${lines.join("\n")}

${tried}`;
}
