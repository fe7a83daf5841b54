/**
 * Network interfaces from /sys/class/net/NAME/{mtu,operstate,flags,carrier_changes}
 * (Documentation/ABI/testing/sysfs-class-net): an interface whose MTU differs from its path's is the start of many MTU
 * blackholes, a flapping one resets everybody.
 * Interfaces that container runtimes make for each container are left out, and so is what is beyond the bound.
 */
import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Collector, CollectorContext, CollectorModule } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { isGone, KernelFiles, parseCount, quote, readKernelFile } from "./kernel-file.ts";

const maxInterfaces = 1000;
/** With more, their files are not kept open: descriptors are for others too. */
const maxHeld = 32;
/** So many are read in one turn of the event loop: a few milliseconds. */
const interfacesPerTurn = 50;
/** Host ends of containers' links: veth (Docker, Podman, flannel), cali (Calico), lxc (Cilium), tap of virtual machines. */
const ofContainer = /^(veth|cali|lxc|tap)/;
const operstates = ["up", "down", "unknown", "dormant", "lowerlayerdown", "notpresent", "testing"];
const flagUp = 1;

export const interfaces: CollectorModule = {
  name: "interfaces",
  summary: "network interfaces: MTU, up, carrier changes",
  enabled: true,
  metrics: [
    {
      name: "sshreset_interface_mtu_bytes",
      help: "MTU of the interface. Not shown: interfaces named veth*, cali*, lxc* or tap*, which belong to containers.",
      type: "gauge",
      labels: ["interface"],
    },
    {
      name: "sshreset_interface_up",
      help: "1 if the interface's operstate is up, or unknown (loopback, tunnels) and it is switched on.",
      type: "gauge",
      labels: ["interface"],
    },
    {
      name: "sshreset_interface_carrier_changes_total",
      help: "How often the interface's link went up or down (carrier_changes, since Linux 3.15).",
      type: "counter",
      labels: ["interface"],
    },
    {
      name: "sshreset_interfaces_left_out",
      help: "Interfaces not shown: those of containers by their name, and those beyond the first 1000.",
      type: "gauge",
      labels: ["reason"],
      values: { reason: ["container", "limit"] },
    },
  ],
  create: createInterfaces,
};

function createInterfaces({ paths }: CollectorContext): Collector {
  const folder = join(paths.sysfs, "class/net");
  const files = new KernelFiles();
  return {
    async read() {
      const names = listInterfaces(folder);
      if (names === undefined) {
        return { status: "absent", reason: `${folder} is not there`, grant: "mount sysfs, or set --path.sysfs" };
      }
      const own = names.filter((name) => !ofContainer.test(name));
      const shown = own.slice(0, maxInterfaces);
      const samples: Sample[] = [
        leftOut("container", names.length - own.length),
        leftOut("limit", own.length - shown.length),
      ];
      for await (const name of inTurns(shown)) {
        const device = shown.length <= maxHeld ? deviceOf(join(folder, name)) : undefined;
        const read = device === undefined ? readKernelFile : (path: string) => files.read(path, device);
        samples.push(...readInterface(folder, name, read));
      }
      files.endReading();
      return { status: "ok", samples };
    },
  };
}

/** Names in /sys/class/net, sorted; undefined without sysfs. `bonding_masters` is a control file, no interface. */
export function listInterfaces(folder: string): string[] | undefined {
  try {
    return readdirSync(folder)
      .filter((name) => name !== "bonding_masters")
      .sort();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** The names, so that the rest of the program goes on between them however many there are. */
export async function* inTurns(names: readonly string[]): AsyncGenerator<string> {
  for (const [index, name] of names.entries()) {
    if (index > 0 && index % interfacesPerTurn === 0) await nextTurn();
    yield name;
  }
}

/** Interfaces may be renamed, and their names be given to others: only the device behind a name tells. */
function deviceOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Nothing for an interface that went away while it was read. */
function readInterface(folder: string, name: string, readFile: typeof readKernelFile): Sample[] {
  const read = (file: string) => readFile(join(folder, name, file))?.trim();
  const mtu = read("mtu");
  const operstate = read("operstate");
  if (mtu === undefined || operstate === undefined) return [];
  const labels = { interface: name };
  const up = isUp(operstate, () => read("flags"), join(folder, name));
  const samples: Sample[] = [
    { name: "sshreset_interface_mtu_bytes", labels, value: parseCount(mtu, join(folder, name, "mtu")) },
    { name: "sshreset_interface_up", labels, value: up ? 1 : 0 },
  ];
  const changes = read("carrier_changes");
  if (changes !== undefined) {
    const value = parseCount(changes, join(folder, name, "carrier_changes"));
    samples.push({ name: "sshreset_interface_carrier_changes_total", labels, value });
  }
  return samples;
}

/** Drivers without a link to watch stay "unknown" for ever: then the switch (IFF_UP in `flags`) decides. */
export function isUp(operstate: string, flags: () => string | undefined, place: string): boolean {
  if (!operstates.includes(operstate))
    throw new Error(`${place}/operstate: ${quote(operstate)} is no operational state`);
  if (operstate !== "unknown") return operstate === "up";
  const text = flags() ?? "0x0";
  if (!/^0x[0-9a-f]{1,8}$/.test(text)) throw new Error(`${place}/flags: ${quote(text)} is no hexadecimal number`);
  return (Number.parseInt(text, 16) & flagUp) !== 0;
}

function leftOut(reason: "container" | "limit", value: number): Sample {
  return { name: "sshreset_interfaces_left_out", labels: { reason }, value };
}
