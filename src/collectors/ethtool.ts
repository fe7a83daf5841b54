/**
 * Reads `ethtool -S INTERFACE`: the driver's own statistics, one `NAME: VALUE` a line, with names of the driver's choice
 * (ethtool(8); drivers/net/.../*_ethtool.c). In the background: it is a program of its own, and some drivers ask the
 * device. Only interfaces with a device behind them are read; virtual ones have no cloud and no hardware.
 */
import { existsSync, readlinkSync } from "node:fs";
import { basename, join } from "node:path";
import { type CollectorContext, type Missing, notReadYet, type Reading } from "../model/collector.ts";
import type { Sample } from "../model/metric.ts";
import { CommandMissing, Repeated, runCommand } from "./background.ts";
import { inTurns, listInterfaces } from "./interfaces.ts";
import { quote } from "./kernel-file.ts";

/** A large instance has 15 interfaces. */
const maxInterfaces = 64;
const everyMs = 15_000;
const limits = { timeoutMs: 5_000, maxBytes: 1024 * 1024 };

/** NAME to value; a driver may have thousands, one per queue and kind. */
export type Statistics = ReadonlyMap<string, number>;

export interface InterfaceStatistics {
  readonly interface: string;
  readonly driver: string;
  readonly statistics: Statistics;
}

/** Interfaces that a driver serves, with its name: /sys/class/net/NAME/device/driver links to it. */
export async function interfacesWithDriver(
  sysfs: string,
): Promise<{ readonly name: string; readonly driver: string }[]> {
  const folder = join(sysfs, "class/net");
  const found = [];
  for await (const name of inTurns(listInterfaces(folder) ?? [])) {
    const link = join(folder, name, "device/driver");
    if (existsSync(link)) found.push({ name, driver: basename(readlinkSync(link)) });
    if (found.length === maxInterfaces) break;
  }
  return found;
}

/** Throws CommandMissing without ethtool; nothing for a driver that keeps no statistics. */
export async function readStatistics(name: string, signal?: AbortSignal): Promise<Statistics> {
  try {
    return parseStatistics(await runCommand("ethtool", ["-S", name], { ...limits, ...(signal && { signal }) }));
  } catch (error) {
    if (error instanceof Error && /no stats available|Operation not supported|No such device/i.test(error.message))
      return new Map();
    throw error;
  }
}

/** A name may hold colons, brackets and spaces: the value is what follows the last colon. */
export function parseStatistics(text: string): Statistics {
  const statistics = new Map<string, number>();
  for (const line of text.split("\n").slice(1)) {
    if (line.trim() === "") continue;
    const colon = line.lastIndexOf(":");
    const name = line.slice(0, Math.max(0, colon)).trim();
    const value = line.slice(colon + 1).trim();
    if (name === "" || !/^-?\d{1,20}$/.test(value)) throw new Error(`ethtool -S: ${quote(line)} is no statistic`);
    statistics.set(name, Number(value));
  }
  return statistics;
}

/**
 * Sums what drivers count per queue: `rx0_drops`, `rx_queue_0_drops`, `queue_0_rx_drops` and `rx_drops[0]` add to
 * `rx_drops`, unless the driver gives that total itself.
 */
export function totals(statistics: Statistics): Statistics {
  const sums = new Map<string, number>();
  for (const [name, value] of statistics) {
    const total = name
      .replace(/\[\d+\]$/, "")
      .replace(/^(rx|tx)(?:_queue_|-)?\d+_/, "$1_")
      .replace(/^queue_\d+_/, "");
    if (total === name) sums.set(name, value);
    else if (!statistics.has(total)) sums.set(total, (sums.get(total) ?? 0) + value);
  }
  return sums;
}

/** The reading that collectors of these statistics share: of interfaces whose driver `wanted` names, made to samples. */
export function statisticsReader(
  { paths, nowMs }: CollectorContext,
  wanted: (driver: string) => boolean,
  samplesOf: (reading: InterfaceStatistics) => readonly Sample[],
): { read(absent: Missing): Reading; run(signal: AbortSignal): Promise<void> } {
  const reading = new Repeated(everyMs, nowMs, async (signal) => {
    const samples: Sample[] = [];
    for (const { name, driver } of await interfacesWithDriver(paths.sysfs)) {
      if (!wanted(driver)) continue;
      const statistics = totals(await readStatistics(name, signal));
      samples.push(...samplesOf({ interface: name, driver, statistics }));
    }
    return samples;
  });
  return {
    run: (signal) => reading.run(signal),
    read(absent) {
      const { result } = reading;
      if (result.state === "pending") return { status: "absent", reason: notReadYet };
      if (result.state === "failed" && result.error instanceof CommandMissing)
        return { status: "absent", reason: result.error.message, grant: "install ethtool" };
      if (result.state === "failed") throw result.error;
      if (result.value.length === 0) return { status: "absent", ...absent };
      return { status: "ok", samples: result.value };
    },
  };
}
