/**
 * What host this is, once at start and in the background: kernel, distribution, virtualization and cloud vendor, by the
 * systeminformation package (uname, /etc/os-release, DMI). Cloud limits are judged only where there is a cloud.
 */
import { join } from "node:path";
import { type Collector, type CollectorContext, type CollectorModule, notReadYet } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { readKernelFile } from "./kernel-file.ts";

export const clouds = [
  "aws",
  "gcp",
  "azure",
  "oci",
  "alibaba",
  "hetzner",
  "digitalocean",
  "openstack",
  "none",
] as const;
export type Cloud = (typeof clouds)[number];

export const host: CollectorModule = {
  name: "host",
  summary: "kernel, distribution, virtualization and cloud vendor, once at start",
  enabled: true,
  metrics: [
    {
      name: "sshreset_host_info",
      help: "Always 1: kernel, distribution, virtualization and cloud vendor of this host, read once at start.",
      type: "gauge",
      labels: ["kernel", "distribution", "distribution_version", "virtualization", "cloud"],
    },
  ],
  create: createHost,
};

function createHost({ paths, onWarning }: CollectorContext): Collector {
  let samples: readonly Sample[] | undefined;
  return {
    read() {
      if (samples === undefined) return { status: "absent", reason: notReadYet };
      return { status: "ok", samples };
    },
    async run() {
      try {
        // Not needed by any other command.
        const { osInfo } = (await import("systeminformation/lib/osinfo.js")).default;
        const { system } = (await import("systeminformation/lib/system.js")).default;
        const facts = { ...(await osInfo()), ...distributionOf(paths.rootfs) };
        samples = [hostInfo(facts, await system())];
      } catch (error) {
        onWarning("cannot read host facts", { error: String(error) });
      }
    },
  };
}

export interface OsFacts {
  readonly kernel: string;
  readonly distro: string;
  readonly release: string;
}
export interface SystemFacts {
  readonly manufacturer: string;
  readonly model: string;
  readonly virtual: boolean;
  readonly virtualHost?: string;
}

/** In a container the package sees the container's distribution: the host's is below its root (os-release(5)). */
function distributionOf(rootfs: string): Partial<OsFacts> {
  if (rootfs === "/") return {};
  const text = readKernelFile(join(rootfs, "etc/os-release")) ?? readKernelFile(join(rootfs, "usr/lib/os-release"));
  return text === undefined ? {} : { distro: field(text, "NAME"), release: field(text, "VERSION_ID") };
}

function field(text: string, name: string): string {
  return new RegExp(`^${name}=["']?(.*?)["']?$`, "m").exec(text)?.[1] ?? "";
}

/** Pure: the package's facts to the info sample. */
export function hostInfo({ kernel, distro, release }: OsFacts, machine: SystemFacts): Sample {
  const virtualization = machine.virtual ? machine.virtualHost?.toLowerCase() || "other" : "none";
  const labels = {
    kernel: short(kernel),
    distribution: short(distro),
    distribution_version: short(release),
    virtualization: short(virtualization),
    cloud: cloudOf(machine),
  };
  return { name: "sshreset_host_info", labels, value: 1 };
}

/** DMI's manufacturer and model, as the vendors set them. */
export function cloudOf({ manufacturer, model, virtual }: SystemFacts): Cloud {
  if (/amazon ec2/i.test(manufacturer) || /amazon/i.test(model)) return "aws";
  if (/^google/i.test(manufacturer) || /google compute engine/i.test(model)) return "gcp";
  if (/microsoft corporation/i.test(manufacturer) && virtual) return "azure";
  if (/oraclecloud/i.test(manufacturer + model)) return "oci";
  if (/alibaba cloud/i.test(manufacturer)) return "alibaba";
  if (/^hetzner/i.test(manufacturer)) return "hetzner";
  if (/^digitalocean/i.test(manufacturer)) return "digitalocean";
  if (/openstack/i.test(manufacturer + model)) return "openstack";
  return "none";
}

function short(text: string): string {
  return text.slice(0, 64);
}
