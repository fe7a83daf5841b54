/** What the lab's clients do: real ssh logins and transfers, held sessions, and raw connections that end as told. */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian, type Tool } from "../../tools/debian.ts";
import { attempt, type Ended, run, until } from "./command.ts";
import type { Network } from "./network.ts";
import type { Stage } from "./stage.ts";

export interface PeerEnd {
  readonly source: string;
  /** `reset by us`, `ECONNRESET`, `ECONNREFUSED`, `closed`, `held`, ... */
  readonly result: string;
  /** The first bytes that the server sent. */
  readonly said: string;
}

/** How many were cut off before they heard sshd's banner. */
export const cutOff = (ends: readonly PeerEnd[]): number =>
  ends.filter(({ result, said }) => result !== "held" && !said.startsWith("SSH-")).length;

export interface Session {
  readonly source: string;
  readonly child: ChildProcess;
  /** What ssh wrote to stderr so far. */
  stderr(): string;
  /** Resolves with ssh's exit status. */
  readonly ended: Promise<number | string>;
}

export class Clients {
  readonly #network: Network;
  readonly #ssh: Tool;
  readonly #key: string;
  readonly #sessions = new Set<ChildProcess>();
  readonly publicKey: string;

  private constructor(network: Network, ssh: Tool, key: string, publicKey: string) {
    this.#network = network;
    this.#ssh = ssh;
    this.#key = key;
    this.publicKey = publicKey;
  }

  static async create(stage: Stage, network: Network): Promise<Clients> {
    const [ssh, keygen] = [await debian("ssh"), await debian("ssh-keygen")];
    const key = join(stage.folder, network.namespaces.client.name);
    await run(keygen.path, ["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", key], { env: keygen.env });
    const publicKey = await run("cat", [`${key}.pub`]);
    const clients = new Clients(network, ssh, key, publicKey);
    stage.onClose(() => clients.closeSessions());
    return clients;
  }

  #words(source: string, options: readonly string[], command: readonly string[]): string[] {
    const fixed = [
      ...["-F", "none", "-i", this.#key, "-b", source, "-o", "StrictHostKeyChecking=no"],
      ...["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=INFO", "-o", "ConnectTimeout=10"],
    ];
    const namespace = this.#network.namespaces.client.name;
    const target = `deploy@${this.#network.serverAddress}`;
    // The first of two values holds.
    const last = ["-o", "BatchMode=yes", target];
    return ["netns", "exec", namespace, this.#ssh.path, ...options, ...fixed, ...last, ...command];
  }

  /** A login that runs a command; however it ends. */
  ssh(source: string, command = "true", options: readonly string[] = [], timeoutMs = 20_000): Promise<Ended> {
    return attempt("ip", this.#words(source, options, [command]), { env: this.#ssh.env, timeoutMs });
  }

  /** Comes as far as the password prompt and gives no answer for so many seconds, then an empty one. */
  hesitate(source: string, seconds: number): Promise<Ended> {
    const prompt = `${this.#key}.prompt-${seconds}`;
    writeFileSync(prompt, `#!/bin/sh\nexec sleep ${seconds}\n`, { mode: 0o755 });
    const options = [
      "-o",
      "BatchMode=no",
      "-o",
      "PreferredAuthentications=password",
      "-o",
      "NumberOfPasswordPrompts=1",
    ];
    const env = { ...this.#ssh.env, SSH_ASKPASS: prompt, SSH_ASKPASS_REQUIRE: "force" };
    return attempt("ip", this.#words(source, options, ["true"]), { env, timeoutMs: 30_000 });
  }

  /** Each of the peers logs in once. Throws when one cannot. */
  async login(sources: readonly string[]): Promise<void> {
    for (const source of sources) {
      const { status, stderr } = await this.ssh(source);
      if (status !== 0) throw new Error(`${source} cannot log in: ${stderr.trim().slice(-300)}`);
    }
  }

  /** A session that stays until it is closed, once the remote side has answered. */
  async open(
    source: string,
    command = "echo ready; exec sleep 3600",
    options: readonly string[] = [],
  ): Promise<Session> {
    const child = spawn("ip", this.#words(source, ["-T", ...options], [command]), {
      env: this.#ssh.env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#sessions.add(child);
    let stderr = "";
    let stdout = "";
    child.stdin.on("error", () => undefined);
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString().slice(0, 4000);
    });
    child.stdout.on("data", (chunk: Buffer) => {
      if (stdout.length < 100) stdout += chunk.toString();
    });
    const ended = new Promise<number | string>((resolve) => {
      child.on("close", (code, signal) => {
        this.#sessions.delete(child);
        resolve(code ?? signal ?? "unknown");
      });
    });
    await until(`session of ${source}`, async () => {
      if (child.exitCode !== null) throw new Error(`ssh ended with ${child.exitCode}: ${stderr}`);
      return stdout.includes("ready");
    });
    return { source, child, stderr: () => stderr, ended };
  }

  closeSessions(): void {
    for (const child of this.#sessions) child.kill("SIGKILL");
    this.#sessions.clear();
  }

  async raw(how: string, sources: readonly string[], count: number, options: { holdMs?: number; gapMs?: number } = {}) {
    const script = join(import.meta.dirname, "peer.mjs");
    const task = JSON.stringify({ how, host: this.#network.serverAddress, sources, count, ...options });
    const namespace = this.#network.namespaces.client.name;
    const timeoutMs = 30_000 + (options.holdMs ?? 5000) + count * (options.gapMs ?? 0);
    const text = await run("ip", ["netns", "exec", namespace, process.execPath, script, task], { timeoutMs });
    return JSON.parse(text) as PeerEnd[];
  }

  /** The client's kernel resets every established connection of these sources: `ss -K`. Gives how many. */
  async killSockets(sources: readonly string[]): Promise<number> {
    let killed = 0;
    for (const source of sources) {
      const text = await this.#network.in("client", `ss -HtnK state established src ${source} dport = 22`);
      killed += text.split("\n").filter((line) => line.includes(":22")).length;
    }
    return killed;
  }
}
