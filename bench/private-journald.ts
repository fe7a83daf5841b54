/**
 * A real systemd-journald of our own: in a mount namespace with its own /run and journal folder, so that the machine's is
 * left alone. Written to by a process that journald takes for sshd. Needs root.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { waitFor } from "../test/cli/exporter-process.ts";

const configuration = `[Journal]
Storage=persistent
ReadKMsg=no
Audit=no
RateLimitIntervalSec=0
SystemMaxUse=4G
SystemMaxFileSize=16M
ForwardToSyslog=no
ForwardToKMsg=no
ForwardToConsole=no
ForwardToWall=no
`;

/** The flag says that /run may be left: else journald writes to /var only when told. */
const journaldScript = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal /var/log/journal /etc/systemd
touch /run/systemd/journal/flushed
mount --bind "$1/journal" /var/log/journal
mount --bind "$1/etc" /etc/systemd
while :; do /lib/systemd/systemd-journald & echo $!; wait $! || :; done
`;

/** Reads how many lines to write, one number a line, and answers with how many it has written in all. */
const writerScript = `
import socket, sys, time
written = 0
def connected():
    while True:
        try:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.connect("/run/systemd/journal/dev-log")
            return s
        except OSError:
            time.sleep(0.01)
s = connected()
for line in sys.stdin:
    for _ in range(int(line)):
        port = 1024 + written % 60000
        text = b"<86>Nov 22 20:00:00 sshd[%d]: Failed password for root from 192.0.2.1 port %d ssh2" % (port, port)
        while True:
            try:
                s.send(text)
                break
            except OSError:
                s = connected()
        written += 1
    print(written, flush=True)
`;

export class PrivateJournald {
  readonly journal: string;
  written = 0;
  readonly #folder: string;
  readonly #shell: ChildProcess;
  #pid = 0;
  #writer: ChildProcess | undefined;
  #answers: AsyncIterator<string> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
    this.journal = join(folder, "journal");
    for (const path of [this.journal, join(folder, "etc")]) mkdirSync(path, { recursive: true });
    writeFileSync(join(folder, "etc/journald.conf"), configuration);
    const python = execFileSync("python3", ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).trim();
    copyFileSync(python, join(folder, "sshd"));
    chmodSync(join(folder, "sshd"), 0o755);
    this.#shell = spawn("unshare", ["--mount", "sh", "-c", journaldScript, "sh", folder], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#shell.stdout?.on("data", (chunk: Buffer) => {
      this.#pid = Number(chunk.toString().trim().split("\n").at(-1));
    });
  }

  /** Resolves when journald takes messages. */
  async open(): Promise<void> {
    await waitFor("journald", 10_000, async () => this.#pid || undefined);
    const inside = ["--target", String(this.#pid), "--mount", join(this.#folder, "sshd"), "-c", writerScript];
    const writer = spawn("nsenter", inside, { stdio: ["pipe", "pipe", "inherit"] });
    this.#writer = writer;
    this.#answers = createInterface({ input: writer.stdout })[Symbol.asyncIterator]();
    await this.write(1);
  }

  /** As fast as journald takes them. */
  async write(lines: number): Promise<void> {
    this.written += lines;
    this.#writer?.stdin?.write(`${lines}\n`);
    const answer = await this.#answers?.next();
    if (Number(answer?.value) !== this.written) throw new Error(`the writer says ${answer?.value}`);
  }

  /** As `journalctl --rotate`. */
  rotate(): void {
    process.kill(this.#pid, "SIGUSR2");
  }

  vacuum(files: number): void {
    execFileSync("journalctl", [`--directory=${this.journal}`, `--vacuum-files=${files}`], { stdio: "ignore" });
  }

  /** It is started again at once. */
  restart(): void {
    process.kill(this.#pid, "SIGTERM");
  }

  /** What the journal holds of what was written. */
  held(): number {
    const args = [`--directory=${this.journal}`, "--output=cat", "SYSLOG_IDENTIFIER=sshd"];
    return (
      execFileSync("journalctl", args, { maxBuffer: 1 << 30 })
        .toString("latin1")
        .split("\n").length - 1
    );
  }

  async close(): Promise<void> {
    this.#writer?.stdin?.end();
    this.#shell.kill("SIGKILL");
    if (this.#pid !== 0) process.kill(this.#pid, "SIGTERM");
    if (this.#shell.exitCode === null && this.#shell.signalCode === null) await once(this.#shell, "exit");
  }
}
