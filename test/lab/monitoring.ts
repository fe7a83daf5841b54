/**
 * The alert chain as users run it: a real Prometheus with the kit's rules, a real Alertmanager with the kit's routes, a
 * webhook. The rules are the shipped ones with their windows divided by the time scale. Prometheus gives each scenario
 * an `instance` of its own, so that nothing of the one before can page in the next.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { debian, type Suite } from "../../tools/debian.ts";
import { run, until } from "./command.ts";
import type { Network } from "./network.ts";
import type { Stage } from "./stage.ts";

export interface Notification {
  readonly timeMs: number;
  /** `page`, `network` or `notify`. */
  readonly receiver: string;
  readonly status: "firing" | "resolved";
  readonly alert: string;
  readonly instance: string;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
}

interface Payload {
  readonly alerts: readonly {
    readonly status: "firing" | "resolved";
    readonly labels: Readonly<Record<string, string>>;
    readonly annotations: Readonly<Record<string, string>>;
    readonly startsAt: string;
  }[];
}

const ports = { prometheus: "127.0.0.1:9090", alertmanager: "127.0.0.1:9093" };

export class Monitoring {
  readonly notifications: Notification[] = [];
  readonly versions: Readonly<Record<string, string>>;
  readonly #folder: string;
  readonly #exporterAddress: string;
  private constructor(folder: string, exporterAddress: string, versions: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#exporterAddress = exporterAddress;
    this.versions = versions;
  }

  static async start(stage: Stage, network: Network, timeScale: number, suite: Suite = "machine"): Promise<Monitoring> {
    const folder = join(stage.folder, network.monitoring);
    mkdirSync(folder);
    const kit = ["--import=tsx", "src/kit/main.ts", "--out", folder, "--time-scale", String(timeScale)];
    await run(process.execPath, kit);
    toWebhooks(join(folder, "alerts/alertmanager.yml"));
    const prometheus = await debian("prometheus", suite);
    const alertmanager = await debian("prometheus-alertmanager", suite);
    const version = async (path: string): Promise<string> =>
      /version (\S+)/.exec(await run(path, ["--version"]))?.[1] ?? "unknown";
    const exporterAddress = `${network.managementAddress}:10922`;
    const monitoring = new Monitoring(folder, exporterAddress, {
      Prometheus: await version(prometheus.path),
      Alertmanager: await version(alertmanager.path),
    });
    monitoring.watch("none");
    writeFileSync(join(folder, "prometheus.yml"), prometheusConfig);
    const inside = (name: string, program: string, args: readonly string[]): ChildProcess => {
      const child = spawn("ip", ["netns", "exec", network.monitoring, program, ...args], {
        cwd: folder,
        stdio: ["pipe", "pipe", "pipe"],
      });
      stage.onClose(() => child.kill("SIGKILL"));
      let said = "";
      child.stderr?.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-2000);
      });
      child.on("exit", (code) => {
        if (code !== null) process.stderr.write(`lab: ${name} ended with ${code}: ${said}\n`);
      });
      return child;
    };
    const gateway = inside("gateway", process.execPath, [
      join(import.meta.dirname, "gateway.mjs"),
      `${monitoring.socket("prometheus")}=${ports.prometheus}`,
      `${monitoring.socket("alertmanager")}=${ports.alertmanager}`,
      `${monitoring.socket("exporter")}=${exporterAddress}`,
    ]);
    let rest = "";
    gateway.stdout?.on("data", (chunk: Buffer) => {
      const lines = (rest + chunk.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) monitoring.#take(line);
    });
    inside("alertmanager", alertmanager.path, [
      ...["--config.file=alerts/alertmanager.yml", "--storage.path=alertmanager", "--log.level=warn"],
      ...["--cluster.listen-address=", `--web.listen-address=${ports.alertmanager}`],
    ]).stdout?.resume();
    inside("prometheus", prometheus.path, [
      ...["--config.file=prometheus.yml", "--storage.tsdb.path=prometheus", "--log.level=warn"],
      ...["--rules.alert.resend-delay=1s", `--web.listen-address=${ports.prometheus}`],
    ]).stdout?.resume();
    for (const name of ["prometheus", "alertmanager"] as const) {
      await until(`${name} is ready`, async () => (await monitoring.get(name, "/-/ready")).status === 200);
    }
    return monitoring;
  }

  /** Scrapes the exporter under this name from now on. */
  watch(instance: string): void {
    const file = join(this.#folder, "targets.json");
    const targets = instance === "none" ? [] : [{ targets: [this.#exporterAddress], labels: { instance } }];
    writeFileSync(file, JSON.stringify(targets));
  }

  async get(
    service: "prometheus" | "alertmanager" | "exporter",
    path: string,
  ): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const query = request({ socketPath: this.socket(service), path, timeout: 5000 }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk: string) => {
          body += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
      });
      query.on("timeout", () => query.destroy(new Error(`${service} does not answer`)));
      query.on("error", reject);
      query.end();
    });
  }

  /** The value of an instant query's first result; undefined when it has none. */
  async query(expression: string): Promise<number | undefined> {
    const { body } = await this.get("prometheus", `/api/v1/query?query=${encodeURIComponent(expression)}`);
    const answer = JSON.parse(body) as { data?: { result?: { value: [number, string] }[] } };
    const value = answer.data?.result?.[0]?.value[1];
    return value === undefined ? undefined : Number(value);
  }

  /** Makes a service reachable on this machine's loopback; gives its port. */
  async publish(stage: Stage, service: "prometheus" | "alertmanager" | "exporter"): Promise<number> {
    const server = createServer((outside) => {
      const inside = connect(this.socket(service));
      outside.pipe(inside).pipe(outside);
      for (const socket of [inside, outside]) socket.on("error", () => outside.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    stage.onClose(() => server.close());
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  socket(name: string): string {
    return join(this.#folder, `${name}.sock`);
  }

  #take(line: string): void {
    const { timeMs, path, body } = JSON.parse(line) as { timeMs: number; path: string; body: Payload };
    for (const { status, labels, annotations, startsAt } of body.alerts) {
      const { alertname: alert = "", instance = "" } = labels;
      this.notifications.push({ timeMs, receiver: path.slice(1), status, alert, instance, annotations, startsAt });
    }
  }
}

/** The shipped routes and inhibitions; only what a receiver sends to is the lab's: its name below the webhook. */
function toWebhooks(file: string): void {
  const config = parse(readFileSync(file, "utf8")) as { receivers: { name: string }[] };
  const receivers = config.receivers.map(({ name }) => {
    const url = `http://127.0.0.1:9099/${name.replace("ssh-reset-", "")}`;
    return name === "ssh-reset-nobody" ? { name } : { name, webhook_configs: [{ url, send_resolved: true }] };
  });
  writeFileSync(file, stringify({ ...config, receivers }));
}

const prometheusConfig = `global:
  scrape_interval: 1s
  scrape_timeout: 1s
  evaluation_interval: 1s
rule_files: [alerts/*.rules.yml]
alerting:
  alertmanagers:
    - static_configs: [{ targets: ["${ports.alertmanager}"] }]
scrape_configs:
  - job_name: ssh
    file_sd_configs: [{ files: [targets.json], refresh_interval: 1s }]
`;
