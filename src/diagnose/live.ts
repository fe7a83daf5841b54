/** This host as it is now: every collector once, their background work awaited for a while; and host facts by systeminformation. */
import { cpus, hostname, loadavg, uptime } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { hostInfo } from "../collectors/host.ts";
import { collectorModules } from "../collectors/index.ts";
import { type Collection, runCollectors } from "../collectors/run.ts";
import { findSshdPorts } from "../collectors/sshd-process.ts";
import type { Config } from "../config/options.ts";
import { notReadYet } from "../model/collector.ts";

const patienceMs = 5_000;

export async function readCollectors(config: Config): Promise<Collection> {
  const paths = {
    procfs: config["path.procfs"],
    sysfs: config["path.sysfs"],
    rootfs: config["path.rootfs"],
    tracefs: config["path.tracefs"],
  };
  const { ports } = await findSshdPorts(paths, config["sshd.port"]);
  // The host's facts are read below.
  const modules = collectorModules.filter(({ name }) => name !== "host" && config.collectors.includes(name));
  const collectors = runCollectors(modules, {
    paths,
    nowMs: Date.now,
    sshdPorts: () => ports,
    onWarning: () => undefined,
  });
  const background = new AbortController();
  const running = collectors.run(background.signal);
  const deadline = Date.now() + patienceMs;
  for (;;) {
    const collection = await collectors.collect();
    const waits = collection.states.some(({ missing }) => missing.some(({ reason }) => reason === notReadYet));
    if (!waits || Date.now() > deadline) {
      background.abort();
      await running;
      return collection;
    }
    await delay(100);
  }
}

export interface HostFacts {
  readonly name: string;
  readonly distribution: string;
  readonly kernel: string;
  readonly virtualization: string;
  readonly cloud: string;
  readonly cpus: number;
  readonly load1: number;
  readonly memoryAvailableBytes: number;
  readonly memoryTotalBytes: number;
  readonly uptimeSeconds: number;
  readonly services: readonly { readonly name: string; readonly running: boolean }[];
  readonly interfaces: readonly { readonly name: string; readonly mtuBytes: number; readonly state: string }[];
}

/** Undefined where it takes too long or fails: facts decide nothing. */
export async function readHostFacts(): Promise<HostFacts | undefined> {
  const late = delay(patienceMs, undefined, { ref: false });
  const facts = (async () => {
    const si = await import("systeminformation");
    const [os, system, mem, services, interfaces] = await Promise.all([
      si.osInfo(),
      si.system(),
      si.mem(),
      si.services("ssh, sshd"),
      si.networkInterfaces(),
    ]);
    const { labels = {} } = hostInfo(os, system);
    const list = Array.isArray(interfaces) ? interfaces : [interfaces];
    return {
      name: hostname(),
      distribution: `${labels["distribution"]} ${labels["distribution_version"]}`,
      kernel: labels["kernel"] ?? "",
      virtualization: labels["virtualization"] ?? "",
      cloud: labels["cloud"] ?? "",
      cpus: cpus().length,
      load1: loadavg()[0] ?? 0,
      memoryAvailableBytes: mem.available,
      memoryTotalBytes: mem.total,
      uptimeSeconds: Math.round(uptime()),
      services: services.map(({ name, running }) => ({ name, running })),
      interfaces: list.slice(0, 32).map(({ iface, mtu, operstate }) => ({
        name: iface,
        mtuBytes: mtu ?? 0,
        state: operstate,
      })),
    };
  })();
  return Promise.race([facts, late]).catch(() => undefined);
}
