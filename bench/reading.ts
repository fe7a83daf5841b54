/** Reading logs once: auth.log against mtail and grep, a million peers against mtail, the journal against journalctl. */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { startExporter } from "../test/cli/exporter-process.ts";
import { exported } from "../test/sources/journal-files.ts";
import { debian } from "../tools/debian.ts";
import { conversation, peerOf, randomFrom, type Truth, writeCorpus } from "./corpus.ts";
import { failedOf, freshState, pidOf, readThrough } from "./exporter.ts";
import { PrivateJournald } from "./private-journald.ts";
import { cpuSeconds, runToEnd } from "./process-tree.ts";
import { type Bench, inTurns, type Row, ratio } from "./rows.ts";
import { median } from "./statistics.ts";

export const fiveCounters = `counter failed
counter accepted
counter reset
counter closed
counter disconnected
/sshd\\[\\d+\\]: Failed \\S+ for / {
  failed++
}
/sshd\\[\\d+\\]: Accepted \\S+ for / {
  accepted++
}
/sshd\\[\\d+\\]: Connection reset by / {
  reset++
}
/sshd\\[\\d+\\]: Connection closed by / {
  closed++
}
/sshd\\[\\d+\\]: Disconnected from / {
  disconnected++
}
`;
const perPeer = `counter failed by peer
/sshd\\[\\d+\\]: Failed \\S+ for .* from (?P<peer>\\S+) port \\d+/ {
  failed[$peer]++
}
`;

interface CpuSeconds {
  readonly cpuSeconds: number;
}

const followedSeconds = 20;

const median2 = (values: readonly CpuSeconds[]): number => median(values.map((v) => v.cpuSeconds));

async function runMtail(folder: string, program: string, log: string) {
  // Debian 13's: the release before is no faster and less used.
  const mtail = await debian("mtail", "trixie");
  const programs = join(folder, "mtail");
  mkdirSync(programs, { recursive: true });
  writeFileSync(join(programs, "bench.mtail"), program);
  const args = ["-one_shot", "-one_shot_format=prometheus", "-progs", programs, "-logs", log, "-log_dir", folder];
  return runToEnd(mtail.path, args, mtail.env as NodeJS.ProcessEnv);
}

function check(what: string, counted: number, truth: number): void {
  if (counted !== truth) throw new Error(`${what} counted ${counted} of ${truth}: a bench of wrong counts is none`);
}

const readLog = (folder: string, path: string, truth: Truth) => async () => {
  const result = await readThrough(folder, [`--source.logfile=${path}`], (values) => failedOf(values) >= truth.failed);
  check("the exporter", failedOf(result.values), truth.failed);
  return result;
};

export const readAuthLog: Bench = async (folder, say) => {
  const path = join(folder, "auth.log");
  const truth = writeCorpus({ path, lines: 5_000_000, seed: 1, peers: 1_000_000 });
  say(`${truth.lines} lines, ${truth.bytes} bytes, ${truth.peers} peers`);
  const greps: { cpuSeconds: number }[] = [];
  const { a, b } = await inTurns(2, readLog(folder, path, truth), async () => {
    greps.push(await runToEnd("grep", ["-cE", "Connection (reset|closed) by", path], { ...process.env, LC_ALL: "C" }));
    const result = await runMtail(folder, fiveCounters, path);
    check("mtail", Number(/^failed\{[^}]*\} (\S+)$/m.exec(result.stdout)?.[1]), truth.failed);
    return result;
  });
  const own = median2(a);
  say(`exporter ${own.toFixed(2)} s, mtail ${median2(b).toFixed(2)} s, grep ${median2(greps).toFixed(2)} s`);
  return [
    row("reading 5 M auth.log lines, CPU / mtail with five counters", "<= 0.15", "<= 0.07", ratio(own / median2(b))),
    row("the same / `LC_ALL=C grep -cE`", "<= 5", "<= 2.5", ratio(own / median2(greps))),
    row("the same, peak RSS", "", "", `${median(a.map(({ peakMb }) => peakMb)).toFixed(0)} MB`),
  ];
};

export const readManyPeers: Bench = async (folder, say) => {
  const path = join(folder, "auth.log");
  const truth = writeCorpus({ path, lines: 6_500_000, seed: 2, peers: "each" });
  say(`${truth.lines} lines, ${truth.peers} peers`);
  // mtail takes minutes here: once.
  const own = await inTurns(2, readLog(folder, path, truth), async () => undefined);
  const reference = await runMtail(folder, perPeer, path);
  const cpu = median2(own.a);
  say(`exporter ${cpu.toFixed(2)} s, mtail ${reference.cpuSeconds.toFixed(2)} s and ${reference.peakMb.toFixed(0)} MB`);
  const peak = median(own.a.map(({ peakMb }) => peakMb));
  return [
    row(
      "1 M distinct peers, CPU / mtail with a label per peer",
      "<= 0.10",
      "<= 0.05",
      ratio(cpu / reference.cpuSeconds),
    ),
    row("the same, peak RSS", "<= 120 MB", "<= 90 MB", `${peak.toFixed(0)} MB (mtail ${reference.peakMb.toFixed(0)})`),
  ];
};

export const readJournal: Bench = async (folder, say) => {
  const full = await makeJournal(join(folder, "full"), 200_000);
  // What it takes to start is no cost of a record.
  const short = await makeJournal(join(folder, "short"), 10);
  say(`${full.records} records in ${readdirSync(full.journal).length} files`);
  const own = ({ journal, failed }: Made) =>
    readThrough(folder, [`--source.journal.directory=${journal}`], (values) => failedOf(values) >= failed);
  const alone = ({ journal }: Made) => runToEnd("journalctl", [`--directory=${journal}`, "-o", "export"]);
  const { a, b } = await inTurns(
    3,
    () => own(full),
    () => alone(full),
  );
  const starts = await inTurns(
    3,
    () => own(short),
    () => alone(short),
  );
  check("the exporter", failedOf(a[0]?.values ?? new Map()), full.failed);
  const perRecord = (all: readonly CpuSeconds[], start: readonly CpuSeconds[]): number =>
    ((median2(all) - median2(start)) / (full.records - short.records)) * 1e6;
  const [ours, theirs] = [perRecord(a, starts.a), perRecord(b, starts.b)];
  say(`a record: exporter with its journalctl ${ours.toFixed(1)} us, journalctl alone ${theirs.toFixed(1)} us`);
  return [
    row(
      "journal, CPU of a record: exporter + journalctl / journalctl -o export alone",
      "<= 2",
      "<= 1.3",
      ratio(ours / theirs),
    ),
    ...(process.getuid?.() === 0 ? [await followJournal(join(folder, "followed"), say)] : []),
  ];
};

/** A real journald, written to at 1,000 records a second: there journalctl costs several times what it does with a file at rest. */
async function followJournal(folder: string, say: (text: string) => void): Promise<Row> {
  const journald = new PrivateJournald(folder);
  try {
    await journald.open();
    const exporter = await startExporter([
      `--state.directory=${freshState(folder)}`,
      `--source.journal.directory=${journald.journal}`,
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
    ]);
    const args = [`--directory=${journald.journal}`, "-o", "export", "--follow", "--lines=0"];
    const reference = spawn("journalctl", args, { stdio: ["ignore", "pipe", "ignore"] });
    reference.stdout.resume();
    try {
      // Both have run for a while: what it takes to compile is no cost of a record.
      await journald.write(20_000);
      await exporter.until("the lines before", (values) => failedOf(values) === journald.written);
      await delay(5_000);
      const before = journald.written;
      const pids = [pidOf(exporter), reference.pid ?? 0] as const;
      const spent = async (work: () => Promise<unknown>): Promise<readonly [number, number]> => {
        const start = pids.map(cpuSeconds);
        await work();
        return pids.map((pid, n) => cpuSeconds(pid) - (start[n] ?? 0)) as unknown as readonly [number, number];
      };
      const idle = await spent(() => delay(followedSeconds * 1000));
      const busy = await spent(async () => {
        for (const untilMs = Date.now() + followedSeconds * 1000; Date.now() < untilMs; await delay(100)) {
          await journald.write(100);
        }
      });
      await exporter.until("the last line", (values) => failedOf(values) === journald.written);
      const [ours, theirs] = [0, 1].map((n) => ((busy[n] ?? 0) - (idle[n] ?? 0)) / (journald.written - before)) as [
        number,
        number,
      ];
      say(
        `followed: exporter with its journalctl ${(ours * 1e6).toFixed(1)} us, journalctl alone ${(theirs * 1e6).toFixed(1)} us`,
      );
      return row(
        "the same, following at 1,000 records a second / journalctl -o export --follow alone",
        "<= 2",
        "<= 1.3",
        ratio(ours / theirs),
      );
    } finally {
      reference.kill();
      await exporter.stop();
    }
  } finally {
    await journald.close();
  }
}

interface Made {
  readonly journal: string;
  readonly records: number;
  readonly failed: number;
}

/** Made by systemd-journal-remote, which rotates the file while it writes: a folder of journals, as on a host. */
async function makeJournal(folder: string, records: number): Promise<Made> {
  const remote = await debian("systemd-journal-remote");
  const journal = join(folder, "journal");
  mkdirSync(journal, { recursive: true });
  const truth = writeJournal(join(folder, "entries"), records);
  const args = ["-o", join(journal, "bench.journal"), join(folder, "entries")];
  await runToEnd(remote.path, args, remote.env as NodeJS.ProcessEnv);
  return { journal, ...truth };
}

function writeJournal(path: string, records: number): { readonly records: number; readonly failed: number } {
  const random = randomFrom(3);
  const entries: Buffer[] = [];
  let failed = 0;
  let written = 0;
  const startUs = (Date.now() - 3_600_000) * 1000;
  for (let serial = 0; written < records; serial++) {
    const { messages, counts } = conversation(
      random,
      peerOf(Math.floor(100_000 ** random())),
      1024 + (serial % 60_000),
    );
    failed += counts.failed ?? 0;
    for (const MESSAGE of messages) {
      entries.push(
        exported({
          __REALTIME_TIMESTAMP: String(startUs + written * 10_000),
          __MONOTONIC_TIMESTAMP: String(1 + written * 10_000),
          _BOOT_ID: "12c43316b5a14ce7ad08dcb604ef0e05",
          _TRANSPORT: "syslog",
          SYSLOG_IDENTIFIER: "sshd",
          SYSLOG_FACILITY: "4",
          PRIORITY: "6",
          _COMM: "sshd",
          _EXE: "/usr/sbin/sshd",
          _UID: "0",
          _GID: "0",
          _SYSTEMD_UNIT: "ssh.service",
          _SYSTEMD_CGROUP: "/system.slice/ssh.service",
          _CMDLINE: "sshd: [accepted]",
          _PID: String(300 + (serial % 4_000_000)),
          MESSAGE,
        }),
      );
      written++;
    }
  }
  writeFileSync(path, Buffer.concat(entries));
  return { records: written, failed };
}

const row = (work: string, must: string, aim: string, measured: string): Row => ({ work, must, aim, measured });
