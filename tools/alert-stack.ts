/**
 * The alert chain as users run it, on loopback, in a folder of its own: a real Prometheus with the kit's rules, a real
 * Alertmanager with the kit's routes, inhibition and templates, and a webhook in place of e-mail and chat. A time scale
 * divides the windows and waiting times of the rules.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parse, stringify } from "yaml";
import { alertFiles } from "../src/kit/alert-files.ts";
import { defaultSettings, type KitSettings } from "../src/kit/settings.ts";
import type { Tool } from "./debian.ts";

/** What the webhook gets; newer Alertmanagers add keys. */
export interface Notification {
  readonly status: "firing" | "resolved";
  readonly alerts: readonly {
    readonly status: "firing" | "resolved";
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
  }[];
}

export interface Target {
  readonly instance: string;
  /** `127.0.0.1:10922` */
  readonly address: string;
  readonly path?: string;
  /** Further labels of the target. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface AlertStackOptions {
  /** Is there, and is the caller's to remove. */
  readonly folder: string;
  readonly prometheus: Tool;
  readonly alertmanager: Tool;
  readonly settings?: Partial<KitSettings>;
  readonly targets: readonly Target[];
  /** Of scrapes and of evaluations outside rule groups; 1 if not said. */
  readonly scrapeSeconds?: number;
  /** Further flags of Prometheus. */
  readonly flags?: readonly string[];
  readonly onNotification: (notification: Notification) => void;
}

export class AlertStack {
  readonly prometheus: string;
  readonly alertmanager: string;
  readonly #webhook: Server;
  readonly #children: ChildProcess[] = [];

  private constructor(prometheus: string, alertmanager: string, webhook: Server) {
    this.prometheus = `http://${prometheus}`;
    this.alertmanager = `http://${alertmanager}`;
    this.#webhook = webhook;
  }

  /** Both are ready. Throws what a program said when it ends instead; nothing is left running then. */
  static async start(options: AlertStackOptions): Promise<AlertStack> {
    const webhook = await listen(options.onNotification);
    const { port } = webhook.address() as AddressInfo;
    const [prometheus, alertmanager] = [await freeAddress(9090), await freeAddress(9093)];
    const stack = new AlertStack(prometheus, alertmanager, webhook);
    try {
      await writeConfigurations(options, `http://127.0.0.1:${port}/`, alertmanager);
      await Promise.all([
        stack.#start(options.alertmanager, `${stack.alertmanager}/-/ready`, [
          `--config.file=${options.folder}/alertmanager.yml`,
          `--storage.path=${options.folder}/alertmanager`,
          `--web.listen-address=${alertmanager}`,
          "--cluster.listen-address=",
        ]),
        stack.#start(options.prometheus, `${stack.prometheus}/-/ready`, [
          `--config.file=${options.folder}/prometheus.yml`,
          `--storage.tsdb.path=${options.folder}/prometheus`,
          `--web.listen-address=${prometheus}`,
          // Alerts are valid for four of these: an evaluation that comes late on a busy machine ends none.
          `--rules.alert.resend-delay=${Math.min(60, 5 * (options.scrapeSeconds ?? 1))}s`,
          ...(options.flags ?? []),
        ]),
      ]);
      return stack;
    } catch (error) {
      await stack.stop();
      throw error;
    }
  }

  /** The value of an instant query's first result; undefined when it has none. */
  async query(expression: string): Promise<number | undefined> {
    const answer = await fetch(`${this.prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`);
    const body = (await answer.json()) as { data?: { result?: { value: [number, string] }[] } };
    const value = body.data?.result?.[0]?.value[1];
    return value === undefined ? undefined : Number(value);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#children.splice(0).map(end));
    this.#webhook.closeAllConnections();
    await new Promise((done) => this.#webhook.close(done));
  }

  async #start({ path, env }: Tool, ready: string, args: readonly string[]): Promise<void> {
    const child = spawn(path, args, { env, stdio: ["ignore", "ignore", "pipe"] });
    this.#children.push(child);
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
      said = (said + chunk).slice(-4000);
    });
    await once(child, "spawn");
    const deadline = Date.now() + 60_000;
    const answers = (): Promise<boolean> =>
      fetch(ready).then(
        ({ ok }) => ok,
        () => false,
      );
    while (!(await answers())) {
      if (hasEnded(child)) throw new Error(`${path} ended with ${child.exitCode ?? child.signalCode}: ${said.trim()}`);
      if (Date.now() > deadline) throw new Error(`${path}: not ready within 60 s: ${said.trim()}`);
      await delay(100);
    }
    child.on("exit", (code) => {
      if (code !== null && code !== 0) process.stderr.write(`${path} ended with ${code}: ${said}\n`);
    });
  }
}

async function listen(receive: (notification: Notification) => void): Promise<Server> {
  const server = createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      receive(JSON.parse(body) as Notification);
      response.end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** The usual port on loopback, else any. */
export async function freeAddress(usual = 0): Promise<string> {
  for (const wanted of [usual, 0]) {
    const server = createTcpServer().listen(wanted, "127.0.0.1");
    const free = await once(server, "listening").then(
      () => true,
      () => false,
    );
    if (!free) continue;
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, "close");
    return `127.0.0.1:${port}`;
  }
  throw new Error("no free port on 127.0.0.1");
}

/** The shipped files; a receiver that tells somebody tells the webhook. */
async function writeConfigurations(options: AlertStackOptions, url: string, alertmanager: string): Promise<void> {
  const { folder, targets, settings, scrapeSeconds = 1 } = options;
  const files = alertFiles({ ...defaultSettings, ...settings });
  const rules = ["ssh-reset-exporter.rules.yml", "fleet.rules.yml"];
  for (const name of rules) await writeFile(join(folder, name), files.get(`alerts/${name}`) ?? "");
  const config = parse(files.get("alerts/alertmanager.yml") ?? "") as { receivers: { name: string }[] };
  const receivers = config.receivers.map(({ name }) =>
    name === "ssh-reset-nobody" ? { name } : { name, webhook_configs: [{ url, send_resolved: true }] },
  );
  const templates = [resolve(import.meta.dirname, "../alerts/templates/*.tmpl")];
  await writeFile(join(folder, "alertmanager.yml"), stringify({ ...config, receivers, templates }));
  const prometheus = {
    global: { scrape_interval: `${scrapeSeconds}s`, evaluation_interval: `${scrapeSeconds}s` },
    rule_files: rules.map((name) => join(folder, name)),
    alerting: { alertmanagers: [{ static_configs: [{ targets: [alertmanager] }] }] },
    scrape_configs: [
      {
        job_name: "ssh",
        static_configs: targets.map(({ instance, address, path = "/metrics", labels }) => ({
          targets: [address],
          labels: { ...labels, instance, __metrics_path__: path },
        })),
      },
    ],
  };
  await writeFile(join(folder, "prometheus.yml"), stringify(prometheus, { aliasDuplicateObjects: false }));
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

async function end(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || hasEnded(child)) return;
  const gone = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), 5000);
  await gone;
  clearTimeout(late);
}
