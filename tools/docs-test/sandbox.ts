/**
 * Where the commands of the docs run: a copy of this tree as the current folder, `ssh-reset-exporter` in PATH, and namespaces of
 * their own (user_namespaces(7)): no network but loopback, nothing to write to but this copy, and logs in /var/log that tell of
 * sshd's crash loop in test/fixtures/demo, repaired a minute and a half ago; bastion.example.com is this host.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Command, missingLine } from "./page.ts";
import { simpleCommands } from "./shell.ts";

export interface Ran {
  readonly command: Command;
  readonly status: number;
  readonly printed: string;
}

/** What iptables-save prints there. */
const rules = `*filter
:INPUT ACCEPT [0:0]
-A INPUT -s 198.51.100.0/24 -p tcp -m tcp --dport 22 -j DROP
COMMIT
`;

const root = join(import.meta.dirname, "../..");
/** Root needs no user namespace, and may not have one in a container. */
const unshare = [
  ...(process.getuid?.() === 0 ? [] : ["--user", "--map-root-user"]),
  "--net",
  "--mount",
  "--pid",
  "--fork",
  "--mount-proc",
];
const blockMs = 120_000;
/** Within which a server has printed what the page shows. */
const serverMs = 30_000;

/** What the pages' commands and the sandbox itself start. */
const needed = ["unshare", "bash", "ip", "ss", "curl", "openssl"];

/** Undefined: commands can be run here. */
export function whyNoSandbox(): string | undefined {
  const missing = needed.filter((program) => spawnSync("sh", ["-c", `command -v ${program}`]).status !== 0);
  if (missing.length > 0) return `needs ${missing.join(", ")}`;
  const { stderr, status } = spawnSync("unshare", [...unshare, "mount", "-t", "tmpfs", "tmpfs", "/var/log"], {
    encoding: "utf8",
  });
  return status === 0 ? undefined : `needs root or user namespaces: ${stderr.trim()}`;
}

export class Sandbox {
  readonly #folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-docs-"));
  readonly #path: string;
  #child: ChildProcess | undefined;

  constructor() {
    const clone = join(this.#folder, "clone");
    for (const file of trackedFiles()) {
      mkdirSync(dirname(join(clone, file)), { recursive: true });
      cpSync(join(root, file), join(clone, file));
    }
    symlinkSync(join(root, "node_modules"), join(clone, "node_modules"));
    symlinkSync(join(root, "test"), join(clone, "test"));
    execFileSync(process.execPath, [join(clone, "tools/bundle.mjs")]);
    // `npm start` shall build its own.
    cpSync(join(clone, "dist"), join(clone, "built"), { recursive: true });
    rmSync(join(clone, "dist"), { recursive: true });
    const bin = join(this.#folder, "bin");
    mkdirSync(bin);
    executable(join(bin, "ssh-reset-exporter"), `exec "${process.execPath}" "${clone}/built/cli/main.js" "$@"`);
    executable(join(bin, "iptables-save"), `cat <<'END'\n${rules}END`);
    executable(join(bin, "sudo"), 'while case $1 in -u) shift 2;; -*) shift;; *) false;; esac; do :; done\nexec "$@"');
    this.#path = [bin, dirname(process.execPath), process.env["PATH"]].join(":");
    for (const name of ["home", "tmp"]) mkdirSync(join(this.#folder, name));
  }

  /** With what runs in it. */
  remove(): void {
    this.#child?.kill("SIGKILL");
    rmSync(this.#folder, { recursive: true, force: true });
  }

  /** In one shell, one after the other; a server goes on until the last one is done, and must then end by SIGTERM with 0. */
  async run(commands: readonly Command[]): Promise<Ran[]> {
    const out = mkdtempSync(join(this.#folder, "block-"));
    const script = [
      host(this.#folder),
      ...commands.map((command, index) => step(command.text, out, index)),
      "for stop in $stops; do $stop; done",
    ];
    writeFileSync(join(out, "script"), script.join("\n"));
    const child = spawn("unshare", [...unshare, "--kill-child", "bash", join(out, "script")], {
      cwd: join(this.#folder, "clone"),
      env: {
        PATH: this.#path,
        HOME: join(this.#folder, "home"),
        TMPDIR: join(this.#folder, "tmp"),
        LANG: "C.UTF-8",
        TZ: "UTC",
      },
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#child = child;
    const timer = setTimeout(() => child.kill("SIGKILL"), blockMs);
    const startedMs = Date.now();
    const watch = setInterval(() => {
      for (const [index, { shown }] of commands.entries()) {
        const file = join(out, String(index));
        const printed = read(`${file}.out`);
        const enough = printed.includes("msg=listening") && missingLine(shown, printed) === undefined;
        if (enough || Date.now() - startedMs > serverMs) writeFileSync(`${file}.seen`, "");
      }
    }, 100);
    await new Promise((resolve) => child.on("close", resolve));
    clearInterval(watch);
    clearTimeout(timer);
    return commands.map((command, index) => ({
      command,
      status: Number(read(join(out, `${index}.status`)) || Number.NaN),
      printed: read(join(out, `${index}.out`)),
    }));
  }
}

/** `serve` runs until it is ended: by its name, by none, or as `npm start`. */
export function isServer(text: string): boolean {
  const [words = [], ...others] = simpleCommands(text);
  const [program, first = "--"] = words;
  if (others.length > 0 || words.some((word) => /^--(?:help|version|config\.check)$/.test(word))) return false;
  return program === "npm" ? first === "start" : program === "ssh-reset-exporter" && /^(?:-|serve$)/.test(first);
}

/** Of bash, for one command: its output and exit status into files. */
function step(text: string, out: string, index: number): string {
  const file = join(out, String(index));
  if (!isServer(text)) return `{ ${text}\n} >'${file}.out' 2>&1 </dev/null; echo $? >'${file}.status'`;
  return `
setsid bash -c ${quoted(`exec ${text}`)} >'${file}.out' 2>&1 </dev/null & server${index}=$!
until [ -e '${file}.seen' ]; do kill -0 $server${index} || break; sleep 0.1; done
stop${index}() { kill -TERM -- -$server${index}; wait $server${index}; echo $? >'${file}.status'; }
stops="$stops stop${index}"`;
}

export const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Of bash: this host. What listens on port 22 takes the place of sshd. */
function host(folder: string): string {
  const [crashes, repair] = ["crash-loop.log", "repaired.log"].map((name) =>
    readFileSync(join(root, "test/fixtures/demo", name), "utf8")
      .trim()
      .split("\n"),
  );
  const nowMs = Date.now();
  const lines = [...moved(crashes ?? [], nowMs - 120_000), ...moved(repair ?? [], nowMs - 100_000)];
  const file = (name: string, who: RegExp): string =>
    `cat >/var/log/${name} <<'LOG'\n${lines.filter((line) => who.test(line)).join("\n")}\nLOG`;
  return [
    "set -u; stops=",
    "mount -t tmpfs tmpfs /var/log; mount -t tmpfs tmpfs /var/lib",
    `mount --bind '${folder}' '${folder}'; mount -o remount,bind,ro /; cd '${join(folder, "clone")}'`,
    "ip link set lo up",
    "(cat /etc/hosts; echo 127.0.0.1 bastion.example.com) >/var/log/hosts; mount --bind /var/log/hosts /etc/hosts",
    file("auth.log", / sshd\[/),
    file("syslog", / systemd\[/),
    file("kern.log", / kernel:/),
    `'${process.execPath}' -e 'require("net").createServer((socket) => socket.on("error", () => {}).resume().end("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\\r\\n")).listen(22)' &`,
    "until ss -ltn | grep -q ':22 '; do sleep 0.1; done",
  ].join("\n");
}

/** Lines of syslog whose last one is at that time. */
function moved(lines: readonly string[], lastMs: number): string[] {
  const timeOf = (line: string): number => Date.parse(line.split(" ", 1)[0] ?? "");
  const shift = lastMs - timeOf(lines.at(-1) ?? "");
  return lines.map((line) => {
    const time = new Date(timeOf(line) + shift).toISOString().replace("Z", "+00:00");
    return `${time} ${line.slice(line.indexOf(" ") + 1)}`;
  });
}

/** As a clone has them; tests are linked, for their fixtures are large. */
function trackedFiles(): string[] {
  const args = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
  const list = execFileSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 1 << 26 }).split("\0");
  return list.filter((file) => !/^(?:$|test\/|node_modules$)/.test(file) && existsSync(join(root, file)));
}

function executable(path: string, text: string): void {
  writeFileSync(path, `#!/bin/sh\n${text}\n`);
  chmodSync(path, 0o755);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
