/**
 * `npm run demo`: the whole kit at work in a minute. The exporter follows a recorded incident (a crash loop of sshd on
 * Debian 12, replayed line by line, its times moved to now) on a fixture host; a real Prometheus and Alertmanager judge
 * it with the kit's own files, their time running faster; each page is printed as on-call would get it. Everything is on
 * loopback and in a temporary folder. With --once it ends after the resolved page, else by Ctrl-C.
 */
import { spawn } from "node:child_process";
import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs, styleText } from "node:util";
import { FixtureHost } from "../test/alerts/exporter-faults.ts";
import type { ExporterProcess } from "../test/cli/exporter-process.ts";
import { AlertStack, type Notification } from "./alert-stack.ts";
import { debian, type Program, type Tool } from "./debian.ts";

const timeScale = 15;
const peer = "10.77.1.2";
const root = join(import.meta.dirname, "..");
const recordings = join(root, "test/fixtures/demo");

const usage = `usage: npm run demo [-- --once]
  --once   end after the resolved page; without it everything stays up until Ctrl-C
`;

interface Programs {
  readonly prometheus: Tool;
  readonly alertmanager: Tool;
  readonly amtool: Tool;
}

interface Part {
  stop(): Promise<unknown>;
}

const startedMs = Date.now();
const folder = mkdtempSync(join(tmpdir(), "ssh-reset-demo-"));
/** Promises: an end in the middle of a start stops what comes of it, too. */
const parts: Promise<Part>[] = [];
let ending: Promise<void> | undefined;

async function demo(once: boolean): Promise<void> {
  say("Prometheus and Alertmanager: installed ones, else fetched into a private cache");
  const programs = await findPrograms();
  say("starting the exporter on a fixture host, Prometheus and Alertmanager");
  const host = new FixtureHost(folder);
  mkdirSync(join(folder, "state"), { mode: 0o700 });
  const exporter = await begin(() => host.start(folder));
  const pages = new Pages(programs.amtool);
  const targets = [{ instance: "db1", address: new URL(exporter.url).host }];
  const stack = await begin(() =>
    AlertStack.start({
      ...{ folder, ...programs, targets },
      settings: { timeScale, runbookBase: join(root, "docs/runbooks") },
      onNotification: (notification) => pages.receive(notification),
    }),
  );
  const addresses = `
  exporter      ${exporter.url}/         status page, and /metrics
  Prometheus    ${stack.prometheus}/alerts    with alerts/ssh-reset-exporter.rules.yml
  Alertmanager  ${stack.alertmanager}/          with alerts/alertmanager.yml
  Grafana       import dashboards/*.json, with this Prometheus as data source
`;
  process.stdout.write(`${addresses}
Time of the rules runs ${timeScale} times faster: where a page says 5 minutes it is ${300 / timeScale} seconds here.

`);
  const watch = new Watch(exporter);
  try {
    await scraped(stack, 3);
    say(`the incident, as recorded: ${peer} logs in, then sshd is killed again and again until systemd gives up`);
    await replay(host, "crash-loop.log");
    say("nothing listens on port 22 any more; waiting for the page");
    await pages.until("firing", 60);
    say("the repair, as recorded: whoever killed it is found, and ssh.service is started");
    await replay(host, "repaired.log");
    say("users log in again; the page is resolved when the evidence has ended");
    await pages.until("resolved", 120, () => host.login(peer));
  } finally {
    watch.end();
  }
  if (once) return;
  say("that was all. Everything stays up to look around; Ctrl-C ends it");
  process.stdout.write(addresses);
  for (;;) {
    host.login(peer);
    await delay(5000);
  }
}

/** Starts nothing any more once it is ending. */
function begin<T extends Part>(start: () => Promise<T>): Promise<T> {
  if (ending !== undefined) throw new Error("it is ending");
  const part = start();
  parts.push(part);
  return part;
}

/** Installed ones first, under Debian's names or their own; else from the private cache, which needs no root. */
async function findPrograms(): Promise<Programs> {
  try {
    return {
      prometheus: await find("prometheus"),
      alertmanager: await find("prometheus-alertmanager", "alertmanager"),
      amtool: await find("amtool"),
    };
  } catch (error) {
    throw new Error(`Prometheus and Alertmanager are needed; they are not in PATH, and cannot be fetched here:
  ${error instanceof Error ? error.message : String(error)}
Install them and try again, as root:
  apt-get install prometheus prometheus-alertmanager`);
  }
}

async function find(program: Program, upstream: string = program): Promise<Tool> {
  for (const name of [program, upstream]) {
    for (const path of (process.env["PATH"] ?? "").split(delimiter).map((top) => join(top, name))) {
      if (isExecutable(path)) return { path, env: process.env, root: "" };
    }
  }
  return debian(program);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function scraped(running: AlertStack, times: number): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (((await running.query("count_over_time(sshreset_sshd_up[1m])")) ?? 0) < times) {
    if (Date.now() > deadline) throw new Error("Prometheus does not scrape the exporter");
    await delay(200);
  }
}

/** In their own rhythm, at the present time. What sshd's end and start did to its sockets happens with their lines. */
async function replay(host: FixtureHost, recording: string): Promise<void> {
  let beforeMs = Number.NaN;
  for (const line of readFileSync(join(recordings, recording), "utf8").trim().split("\n")) {
    const [, time = "", ident = "", pid = "", message = ""] = /^(\S+) \S+ (\S+)\[(\d+)\]: (.*)$/.exec(line) ?? [];
    if (message === "") throw new Error(`${recording}: not a syslog line: "${line}"`);
    const timeMs = Date.parse(time);
    if (timeMs > beforeMs) await delay(timeMs - beforeMs);
    beforeMs = timeMs;
    host.say(ident, message, Number(pid));
    print("log", `${ident}[${pid}]: ${message}`);
    for (const path of ["proc/net/tcp", "proc/net/tcp6"]) {
      if (message.includes("Main process exited")) host.replace(path, /\n.*$/s, "\n");
      if (message.startsWith("Server listening")) host.restore(path);
    }
  }
}

/** Prints what changes among the metrics that tell this story. */
class Watch {
  readonly #timer: NodeJS.Timeout;
  #last: ReadonlyMap<string, number> = new Map();

  constructor(running: ExporterProcess) {
    this.#timer = setInterval(() => void this.#look(running), 500);
  }

  end(): void {
    clearInterval(this.#timer);
  }

  async #look(running: ExporterProcess): Promise<void> {
    const values = await running.values().catch(() => this.#last);
    for (const [series, value] of values) {
      const before = this.#last.get(series);
      if (before === undefined || before === value) continue;
      if (!/^sshreset_(sshd_(up|stops_total|starts_total)|connections_accepted_total)\b/.test(series)) continue;
      print("metric", `${series} ${before} -> ${value}`);
    }
    this.#last = values;
  }
}

/** Notifications in the order in which they came, each rendered with the kit's own template and printed. */
class Pages {
  readonly #amtool: Tool;
  readonly #statuses: string[] = [];
  #printing: Promise<void> = Promise.resolve();

  constructor(amtool: Tool) {
    this.#amtool = amtool;
  }

  receive(notification: Notification): void {
    this.#printing = this.#printing.then(async () => {
      const text = await this.#render(notification);
      const [title = "", ...body] = text.trim().split("\n");
      say(notification.status === "firing" ? "the page" : "the page is resolved");
      process.stdout.write(`\n${framed(styled("bold", title), body)}\n\n`);
      this.#statuses.push(notification.status);
    });
  }

  /** Waits for a page of this status; meanwhile does something every few seconds. */
  async until(status: string, seconds: number, meanwhile: () => void = () => undefined): Promise<void> {
    const deadline = Date.now() + seconds * 1000;
    for (let round = 0; !this.#statuses.includes(status); round += 1) {
      if (Date.now() > deadline) throw new Error(`no ${status} page within ${seconds} s`);
      if (round % 50 === 0) meanwhile();
      await delay(100);
      // Throws what amtool said.
      await this.#printing;
    }
  }

  async #render(notification: Notification): Promise<string> {
    const data = join(folder, "notification.json");
    writeFileSync(data, JSON.stringify(notification));
    const template = '{{ template "ssh-reset.title" . }}{{ "\\n\\n" }}{{ template "ssh-reset.text" . }}';
    const args = ["template", "render", `--template.glob=${join(root, "alerts/templates/*.tmpl")}`];
    return output(this.#amtool, [...args, `--template.data=${data}`, `--template.text=${template}`]);
  }
}

async function output({ path, env }: Tool, args: readonly string[]): Promise<string> {
  const child = spawn(path, args, { env, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
  });
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    stderr += chunk;
  });
  const code = await new Promise((done, failed) => child.on("error", failed).on("close", done));
  if (code !== 0) throw new Error(`${path} ended with ${code}: ${stderr.trim()}`);
  return stdout;
}

/** Lines are broken at words, so that the frame stays whole. */
function framed(title: string, body: readonly string[]): string {
  const width = Math.min(process.stdout.columns ?? 100, 110) - 4;
  const lines = body.flatMap((line) => {
    const indent = /^\s*/.exec(line)?.[0] ?? "";
    const broken: string[] = [];
    let current = "";
    for (const word of line.trimStart().split(" ")) {
      const longer = current === "" ? indent + word : `${current} ${word}`;
      if (longer.length > width && current !== "") {
        broken.push(current);
        current = indent + word;
      } else current = longer;
    }
    return [...broken, current];
  });
  return [title, ...lines].map((line) => `  | ${line}`.trimEnd()).join("\n");
}

function say(text: string): void {
  const seconds = ((Date.now() - startedMs) / 1000).toFixed(1).padStart(5);
  process.stdout.write(`${styled("bold", `${seconds} s  ${text}`)}\n`);
}

function print(what: string, text: string): void {
  const width = (process.stdout.columns ?? 200) - 20;
  const line = `${" ".repeat(9)}${what.padEnd(6)}  ${text.slice(0, width)}`;
  process.stdout.write(`${what === "log" ? styled("dim", line) : line}\n`);
}

function styled(style: "bold" | "dim", text: string): string {
  return process.stdout.isTTY && process.env["NO_COLOR"] === undefined ? styleText(style, text) : text;
}

/** Every process that was started has ended, and the folder is gone. */
function end(): Promise<void> {
  ending ??= (async () => {
    await Promise.allSettled(parts.map(async (part) => (await part).stop()));
    rmSync(folder, { recursive: true, force: true });
  })();
  return ending;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    say("ending");
    void end().then(() => process.exit(signal === "SIGINT" ? 0 : 1));
  });
}
// Nobody reads any more, as after `| head`.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => void end().then(() => process.exit(1)));
try {
  const { values } = parseArgs({ options: { once: { type: "boolean" }, help: { type: "boolean", short: "h" } } });
  if (values.help) process.stdout.write(usage);
  else await demo(values.once === true);
} catch (error) {
  // While it ends nothing answers any more.
  if (ending === undefined) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
} finally {
  await end();
}
