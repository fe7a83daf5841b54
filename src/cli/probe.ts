/** `ssh-reset-exporter probe`: looks at sshd from the client's side, and says where to look next. */
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { commands, flagsAndExits } from "../config/commands.ts";
import { ConfigError } from "../config/error.ts";
import { type IdleResult, maximumIdleSeconds, probeIdle } from "../probe/idle.ts";
import { Pace } from "../probe/pace.ts";
import { type MtuResult, probeMtu } from "../probe/path-mtu.ts";
import {
  identificationFor,
  isResult,
  type ProbeOptions,
  type ProbeResult,
  probeAddress,
  resolve,
} from "../probe/probe.ts";
import { idleReport, mtuReport, probeReport, summary, toJson } from "../probe/report.ts";
import { parseTarget, type Target, TargetError } from "../probe/target.ts";
import { version } from "./version.ts";

const help = `Usage: ssh-reset-exporter probe [flags] HOST[:PORT]...

Connects as ssh does, up to the new keys, without credentials: which phase fails, how, and what that means.

Examples:
  ssh-reset-exporter probe bastion.example.com
  ssh-reset-exporter probe --repeat 20 '[2001:db8::7]:2222'
      Twenty times, for what happens only sometimes.
  ssh-reset-exporter probe --mtu bastion.example.com
      Find the size at which the path eats packets.
  ssh-reset-exporter probe --idle 75 bastion.example.com
      Find out whether somebody cuts an idle connection within 75 s.

${flagsAndExits(commands.probe)}
OpenSSH 9.8+ counts one second of penalty for every connection that does not log in, and refuses from 15 on: the
interval lets each pass before the next comes.
`;

/** As parseArgs takes them. */
export const probeFlags = {
  repeat: { type: "string", default: "1" },
  mtu: { type: "boolean", default: false },
  idle: { type: "string" },
  timeout: { type: "string", default: "10" },
  interval: { type: "string", default: "2" },
  ipv4: { type: "boolean", short: "4", default: false },
  ipv6: { type: "boolean", short: "6", default: false },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

interface Settings {
  readonly targets: readonly Target[];
  readonly repeat: number;
  readonly mtu: boolean;
  readonly idleSeconds: number | undefined;
  readonly timeoutMs: number;
  readonly intervalMs: number;
  readonly family: 0 | 4 | 6;
  readonly json: boolean;
}

export async function probe(args: readonly string[]): Promise<number> {
  try {
    const settings = parseSettings(args);
    if (settings !== undefined) return await probeAll(settings);
    process.stdout.write(help);
    return 0;
  } catch (error) {
    const isMistake = error instanceof ConfigError || error instanceof TargetError;
    if (!isMistake && !(error instanceof TypeError && "code" in error)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 2;
  }
}

function parseSettings(args: readonly string[]): Settings | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: probeFlags,
  });
  if (values.help) return undefined;
  if (positionals.length === 0) throw new ConfigError("no target: probe HOST[:PORT]...");
  if (values.mtu && values.idle !== undefined) throw new ConfigError("--mtu and --idle are two questions: ask one");
  return {
    targets: positionals.map(parseTarget),
    repeat: numberFlag("--repeat", values.repeat, 1, 10_000, true),
    mtu: values.mtu,
    idleSeconds: values.idle === undefined ? undefined : numberFlag("--idle", values.idle, 1, maximumIdleSeconds),
    timeoutMs: numberFlag("--timeout", values.timeout, 0.1, 100) * 1000,
    intervalMs: numberFlag("--interval", values.interval, 1, 3600) * 1000,
    family: values.ipv4 ? 4 : values.ipv6 ? 6 : 0,
    json: values.json,
  };
}

function numberFlag(flag: string, text: string, min: number, max: number, whole = false): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max) || (whole && !Number.isInteger(value))) {
    throw new ConfigError(`${flag}: "${text}" is not a ${whole ? "whole " : ""}number between ${min} and ${max}`);
  }
  return value;
}

/** One after the other: what one target's probe shows must not be the doing of another's. */
async function probeAll(settings: Settings): Promise<number> {
  const pace = new Pace(settings.intervalMs);
  const options: ProbeOptions = { identification: identificationFor(version), timeoutMs: settings.timeoutMs, pace };
  let failed = false;
  for (const target of settings.targets) {
    const results: ProbeResult[] = [];
    for (let i = 0; i < settings.repeat; i += 1) {
      const answer = await probeOne(target, settings, options);
      results.push(answer.probe);
      failed ||= !answer.good;
      process.stdout.write(settings.json ? toJson(answer.result) : answer.text);
    }
    if (settings.repeat > 1 && !settings.json) process.stdout.write(summary(target, results));
  }
  return failed ? 1 : 0;
}

interface Answer {
  readonly probe: ProbeResult;
  readonly result: ProbeResult | MtuResult | IdleResult;
  readonly good: boolean;
  readonly text: string;
}

async function probeOne(target: Target, settings: Settings, options: ProbeOptions): Promise<Answer> {
  const resolved = await resolve(target, performance.now() + settings.timeoutMs, settings.family);
  if (isResult(resolved)) return plainAnswer(resolved, []);
  if (settings.mtu) {
    const result = await probeMtu(target, resolved, options);
    const stalled = result.outwards.stalled !== undefined || result.inwards.stalled;
    return { probe: result.probe, result, good: !stalled && result.probe.result === "ok", text: mtuReport(result) };
  }
  if (settings.idleSeconds !== undefined) {
    const result = await probeIdle(target, resolved, options, settings.idleSeconds);
    return {
      probe: result.probe,
      result,
      good: result.probe.result === "ok",
      text: idleReport(result, settings.idleSeconds),
    };
  }
  return plainAnswer(await probeAddress(target, resolved, options), resolved.others);
}

const plainAnswer = (result: ProbeResult, others: readonly string[]): Answer => ({
  probe: result,
  result,
  good: result.result === "ok",
  text: probeReport(result, others),
});
