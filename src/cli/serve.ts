/**
 * `serve`: the composition root's entry. Flags to a running exporter with its web server; SIGTERM and SIGINT end it
 * with its state saved, SIGHUP reads the configuration again and keeps the one before it if the new one is bad.
 */
import { collectorModules } from "../collectors/index.ts";
import { ConfigError } from "../config/error.ts";
import { helpText } from "../config/help.ts";
import { parseListenAddress } from "../config/listen-address.ts";
import { type CommandLine, loadConfig } from "../config/load.ts";
import type { Config } from "../config/options.ts";
import { readWebConfig } from "../config/web-config.ts";
import { Exporter } from "../exporter/exporter.ts";
import { planSources } from "../exporter/open-sources.ts";
import { identificationFor } from "../probe/probe.ts";
import { type AllowEntry, parseAllowEntry, TargetError } from "../probe/target.ts";
import { StateError } from "../state/snapshot.ts";
import { createApp } from "../web/app.ts";
import { basicAuth } from "../web/basic-auth.ts";
import { probeHandler } from "../web/probe.ts";
import { addressOf, clientCertificate, close, listen, WebConfigInForce } from "../web/server.ts";
import { createLog, type Log } from "./log.ts";
import { version } from "./version.ts";

export async function serve(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.includes("-h")) {
    process.stdout.write(helpText(collectorModules));
    return 0;
  }
  if (args.includes("--version")) {
    process.stdout.write(`ssh-reset-exporter ${version} (node ${process.version})\n`);
    return 0;
  }
  let commandLine: CommandLine;
  try {
    commandLine = loadConfig(args, collectorModules);
    if (commandLine.checkOnly) checkAll(commandLine.config);
  } catch (error) {
    return mistake(error);
  }
  if (commandLine.checkOnly) {
    process.stdout.write("the configuration is good\n");
    return 0;
  }
  return run(args, commandLine.config);
}

/** What a start would refuse, beyond what the options say alone. Throws ConfigError. */
function checkAll(config: Config): void {
  const web = config["web.config.file"];
  if (web !== undefined) readWebConfig(web);
  config["probe.allow"].forEach(allowEntry);
  planSources(config);
}

async function run(args: readonly string[], first: Config): Promise<number> {
  const log = createLog(first["log.level"], first["log.format"]);
  const nextSignal = signalQueue();
  let service: Service;
  try {
    service = await start(first, log);
  } catch (error) {
    return mistake(error);
  }
  for (;;) {
    const signal = await nextSignal();
    if (signal !== "SIGHUP") {
      log.info({ signal }, "ending");
      await service.stop();
      return 0;
    }
    service = await reload(args, service, log);
  }
}

interface Service {
  readonly config: Config;
  readonly exporter: Exporter;
  stop(): Promise<void>;
}

/** Throws ConfigError or StateError before anything runs. */
async function start(config: Config, log: Log): Promise<Service> {
  const exporter = new Exporter(config, { log, version });
  const path = config["web.config.file"];
  const web = path === undefined ? undefined : new WebConfigInForce(path, (message) => log.warn(message));
  const app = createApp({
    gates: web === undefined ? [] : [clientCertificate(web), basicAuth(() => web.current.users)],
    headers: () => web?.current.headers ?? {},
    probe: probeHandler({
      allow: config["probe.allow"].map(allowEntry),
      identification: identificationFor(version),
      onRefused: (target, reason) => log.debug({ target, reason }, "a probe was refused"),
    }),
    telemetryPath: config["web.telemetry-path"],
    expose: (format, collect) => exporter.expose(format, collect),
    status: () => exporter.status(),
    checklist: () => exporter.checklist(web !== undefined && isAuthenticated(web)),
    runbookBase: config["web.runbook-base"],
    notReady: () => exporter.notReady(),
    onError: (error, path) => log.error({ path, error: String(error) }, "cannot answer"),
  });
  const servers = await listen(config["web.listen-address"].map(parseListenAddress), app, web);
  exporter.start();
  for (const server of servers)
    log.info(
      { address: addressOf(server), tls: web?.current.tls !== undefined, path: config["web.telemetry-path"] },
      "listening",
    );
  return {
    config,
    exporter,
    async stop() {
      await Promise.all(servers.map(close));
      await exporter.stop();
    },
  };
}

function allowEntry(text: string): AllowEntry {
  try {
    return parseAllowEntry(text);
  } catch (error) {
    if (error instanceof TargetError) throw new ConfigError(`--probe.allow: ${error.message}`);
    throw error;
  }
}

/** Whether everybody who comes in had to say who they are. */
function isAuthenticated({ current: { users, tls } }: WebConfigInForce): boolean {
  return users.size > 0 || tls?.clientAuth === "RequireAndVerifyClientCert";
}

/** A bad configuration leaves the running one as it is; a good one replaces it. */
async function reload(args: readonly string[], running: Service, log: Log): Promise<Service> {
  let next: Config;
  try {
    next = loadConfig(args, collectorModules).config;
  } catch (error) {
    log.error({ error: (error as Error).message }, "the new configuration is bad, the one before it stays in force");
    running.exporter.reloadFailed();
    return running;
  }
  await running.stop();
  try {
    return await start(next, log);
  } catch (error) {
    log.error({ error: (error as Error).message }, "cannot start with the new configuration, going back");
    const former = await start(running.config, log);
    former.exporter.reloadFailed();
    return former;
  }
}

/** Waits for signals one after another: what comes while a reload is under way is kept, not left to node's default. */
function signalQueue(): () => Promise<NodeJS.Signals> {
  const queue: NodeJS.Signals[] = [];
  let wake = () => {};
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
    process.on(name, (signal) => {
      queue.push(signal);
      wake();
    });
  }
  return async () => {
    for (;;) {
      const next = queue.shift();
      if (next !== undefined) return next;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

/** A mistake of the user's is one line and exit code 2; anything else is a bug and keeps its stack. */
function mistake(error: unknown): number {
  if (error instanceof ConfigError || error instanceof StateError) {
    process.stderr.write(`ssh-reset-exporter: ${error.message}\n`);
    return 2;
  }
  throw error;
}
