/** `diagnose`: walks the checklist over a past window on this host, or over a bundle, and says what happened. */
import { collectorModules } from "../collectors/index.ts";
import { commands, flagsAndExits } from "../config/commands.ts";
import { ConfigError } from "../config/error.ts";
import { loadConfig } from "../config/load.ts";
import { BundleError, readBundle, saveBundle } from "../diagnose/bundle.ts";
import { diagnoseFrom, exitCode } from "../diagnose/diagnose.ts";
import { hostMaterial } from "../diagnose/host-material.ts";
import { readProbes } from "../diagnose/probe-results.ts";
import { reportText } from "../diagnose/report.ts";
import { timeWindow } from "../diagnose/time-window.ts";
import { canonicalAddress } from "../parsers/address.ts";
import { progressOn } from "./progress.ts";

const usage = `Usage: ssh-reset-exporter diagnose [flags] [the flags of serve]

Why were SSH connections reset on this host? Walks the checklist over the last hour: sshd itself, memory and limits,
TCP wrappers, path MTU, firewalls and proxies, cloud limits, sshd's own limits. It needs no running exporter, and uses
what one has kept. Run it as root, or as a user that may read the logs.

Examples:
  sudo ssh-reset-exporter diagnose
  sudo ssh-reset-exporter diagnose --since 16:30 --until 17:00 --peer 192.0.2.7
  sudo ssh-reset-exporter diagnose --probe probe.json
      Hold it against what a client saw: ssh-reset-exporter probe --json --repeat 10 THIS-HOST > probe.json
  sudo ssh-reset-exporter diagnose --since 24h --bundle /tmp/web1.bundle
      Save what was read for a colleague, without user names and with other addresses.
  ssh-reset-exporter diagnose --from-bundle web1.bundle
      Diagnose it elsewhere.
  ssh-reset-exporter diagnose --source.logfile=/mnt/old/auth.log --since 2026-11-20T03:00 --until 2026-11-20T05:00

${flagsAndExits(commands.diagnose)}`;

/** Flags of this command; all others are those of serve. */
export const valueFlags = ["since", "until", "peer", "probe", "bundle", "from-bundle"] as const;
export const switches = ["json", "bundle.plain", "help"] as const;
type Own = Partial<Record<(typeof valueFlags)[number], string>> & Partial<Record<(typeof switches)[number], true>>;

export async function diagnose(args: readonly string[]): Promise<number> {
  try {
    const { flags, rest } = split(args);
    if (flags.help) {
      process.stdout.write(usage);
      return 0;
    }
    return await run(flags, rest);
  } catch (error) {
    if (!(error instanceof ConfigError || error instanceof BundleError)) throw error;
    process.stderr.write(`ssh-reset-exporter diagnose: ${error.message}\n`);
    return 2;
  }
}

async function run(flags: Own, rest: readonly string[]): Promise<number> {
  const peer = flags.peer === undefined ? undefined : peerAddress(flags.peer);
  const probes = flags.probe === undefined ? undefined : readProbes(flags.probe);
  const bundle = flags["from-bundle"];
  if (bundle !== undefined) refuseWithBundle(flags, rest);
  const progress = progressOn(process.stderr);
  const config = loadConfig(rest, collectorModules).config;
  if (flags["bundle.plain"] && config["peers.hash"]) {
    throw new ConfigError("--bundle.plain keeps addresses and --peers.hash hides them: give one of them");
  }
  const material =
    bundle !== undefined
      ? await readBundle(bundle)
      : hostMaterial(config, timeWindow(flags.since ?? "1h", flags.until, Date.now()), progress.read);
  const saving =
    flags.bundle === undefined ? undefined : saveBundle(flags.bundle, material, flags["bundle.plain"] === true);
  const diagnosed = await diagnoseFrom(saving?.material ?? material, { peer, probes });
  await saving?.done();
  progress.end();
  if (flags.json) process.stdout.write(`${JSON.stringify(diagnosed, null, 2)}\n`);
  else process.stdout.write(reportText(diagnosed, look(process.stdout)));
  if (flags.bundle !== undefined) process.stderr.write(`saved ${flags.bundle}\n`);
  return exitCode(diagnosed);
}

function split(args: readonly string[]): { readonly flags: Own; readonly rest: readonly string[] } {
  const flags: Record<string, string | true> = {};
  const rest: string[] = [];
  const left = [...args];
  for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
    const [, name = "", value] = /^--([\w.-]+)(?:=(.*))?$/s.exec(arg === "-h" ? "--help" : arg) ?? [];
    if ((switches as readonly string[]).includes(name)) {
      if (value !== undefined) throw new ConfigError(`--${name} takes no value, got "${value}"`);
      flags[name] = true;
    } else if ((valueFlags as readonly string[]).includes(name)) {
      const given = value ?? left.shift();
      if (given === undefined || given === "") throw new ConfigError(`--${name} needs a value; see diagnose --help`);
      if (flags[name] !== undefined) throw new ConfigError(`--${name} is given twice`);
      flags[name] = given;
    } else rest.push(arg);
  }
  return { flags: flags as Own, rest };
}

function peerAddress(text: string): string {
  const address = canonicalAddress(text);
  if (address === undefined) throw new ConfigError(`--peer: ${JSON.stringify(text.slice(0, 80))} is no IP address`);
  return address;
}

/** A bundle has its own window and its own host. */
function refuseWithBundle(flags: Own, [first]: readonly string[]): void {
  const other = (["since", "until", "bundle"] as const).find((name) => flags[name] !== undefined);
  const given = other === undefined ? first : `--${other}`;
  if (given !== undefined) throw new ConfigError(`--from-bundle and ${given} exclude each other`);
}

/** https://no-color.org */
function look(stream: NodeJS.WriteStream): { colour: boolean; width: number | undefined } {
  const terminal = stream.isTTY === true;
  return {
    colour: terminal && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb",
    width: terminal ? Math.max(40, Math.min(stream.columns ?? 80, 120)) : undefined,
  };
}
