/** What the terminal shows of a probe: the phases, the meaning, where to look next, the lines of `ssh -v`. Pure. */
import type { IdleResult } from "./idle.ts";
import type { MtuResult } from "./path-mtu.ts";
import type { ProbeResult } from "./probe.ts";
import { probePhases } from "./session.ts";
import { formatTarget, type Target } from "./target.ts";
import { phaseTitles, verdict } from "./verdict.ts";

const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(1)} ms`;
const indented = (lines: readonly string[]): string => lines.map((line) => `    ${line}\n`).join("");

/** `HOST:PORT: reset in key exchange init (ECONNRESET)`. */
export function headline({ target, address, result, failure, durationSeconds }: ProbeResult): string {
  const where = address === undefined || address === target.host ? "" : ` (${address})`;
  if (failure === undefined) return `${formatTarget(target)}${where}: ok in ${milliseconds(durationSeconds)}`;
  const why = [failure.errno, failure.detail].filter((part) => part !== undefined).join(": ");
  return `${formatTarget(target)}${where}: ${result} in ${phaseTitles[failure.phase]}${why === "" ? "" : ` (${why})`}`;
}

export function probeReport(result: ProbeResult, others: readonly string[]): string {
  const { meaning, next, sshVerbose } = verdict(result);
  const phases = probePhases.flatMap((phase) => {
    const seconds = result.phaseSeconds[phase];
    if (seconds === undefined) return [];
    const end = result.failure?.phase === phase ? `  ${result.result}` : "";
    return [`${phaseTitles[phase].padEnd(18)} ${milliseconds(seconds).padStart(11)}${end}`];
  });
  return [
    `${headline(result)}\n`,
    indented(phases),
    result.banner === undefined ? "" : `  banner: ${result.banner}\n`,
    ...result.text.map((line) => `  text before the banner: ${line}\n`),
    others.length === 0 ? "" : `  not tried, the name's other addresses: ${others.join(", ")}\n`,
    `  means: ${meaning}\n`,
    next.length === 0 ? "" : `  next:\n${indented(next)}`,
    `  ssh -v would say:\n${indented(sshVerbose)}`,
  ].join("");
}

export function mtuReport({ probe, outwards, inwards }: MtuResult): string {
  const lines: string[] = [];
  if (outwards.passed !== undefined)
    lines.push(`outwards: IP packets of up to ${outwards.passed} bytes were acknowledged`);
  if (outwards.stalled !== undefined) {
    lines.push(
      `outwards: one of ${outwards.stalled} bytes never was: the path eats packets above ${outwards.passed ?? 0} bytes and tells nobody`,
    );
  }
  if (inwards.passed !== undefined) lines.push(`inwards: the largest SSH packet that came has ${inwards.passed} bytes`);
  if (inwards.stalled) lines.push("inwards: the largest reply of the key exchange never came, the smallest did");
  const stalled = outwards.stalled !== undefined || inwards.stalled;
  const what = stalled
    ? 'means: a path MTU blackhole. Small packets pass, so the banner comes and ssh hangs in the key exchange.\n  next:\n    step 4, path MTU: who drops ICMP "fragmentation needed" (IPv6: "packet too big")? Else clamp the MSS (TCPMSS --clamp-mss-to-pmtu) or lower the tunnel\'s MTU.'
    : probe.failure === undefined
      ? "means: no blackhole seen between here and this address."
      : `means: not decided, the probe itself failed. ${verdict(probe).meaning}\n  next:\n    ${verdict(probe).next.join("\n    ")}`;
  return `${headline(probe)}\n${indented(lines)}  ${what}\n`;
}

/** Timeouts that products are known for, by their manuals: seconds and whose. */
const knownTimeouts = [
  [50, "OpenStack Octavia"],
  [60, "AWS ELB and ALB, nginx, many proxies"],
  [240, "Azure load balancer"],
  [350, "AWS NLB, Network Firewall"],
  [600, "GCP"],
] as const;

export function idleReport(
  { probe, cutAfterSeconds, deadAfterSeconds, cutBy }: IdleResult,
  askedSeconds: number,
): string {
  const round = (seconds: number): string => seconds.toFixed(1);
  const { failure } = probe;
  if (cutAfterSeconds !== undefined) {
    const known = knownTimeouts.filter(([seconds]) => Math.abs(seconds - cutAfterSeconds) < 2).map(([, who]) => who);
    const who =
      cutBy === "idle"
        ? `an idle timeout on the way: a second connection that sent something now and then lived on${known.length ? ` (known for this time: ${known.join("; ")})` : ""}.\n  next:\n    step 5, load balancer, firewall, NAT: raise its timeout, or set ServerAliveInterval below ${Math.max(1, Math.floor(cutAfterSeconds / 2))} in ssh_config`
        : "a limit on the whole connection: one that was not idle was cut at the same age. sshd's LoginGraceTime does this to all that do not log in, and so it says nothing about sessions.\n  next:\n    beyond: sshd -T | grep -i logingracetime on the server; a second look with a shorter --idle";
    return `${headline(probe)}\n    silent connection cut after ${round(cutAfterSeconds)} s (${failure?.reason})\n  means: ${who}\n`;
  }
  if (deadAfterSeconds !== undefined) {
    return `${headline(probe)}\n    dead when used again after ${round(deadAfterSeconds)} s of silence (${failure?.reason})\n  means: somebody on the way forgot the connection and told nobody.\n  next:\n    step 5, firewall, NAT, connection tracking: its timeout for established connections; ServerAliveInterval in ssh_config\n`;
  }
  if (failure !== undefined) return probeReport(probe, []);
  return `${headline(probe)}\n    alive after ${round(askedSeconds)} s of silence\n  means: nobody cuts an idle connection within that time. For longer: log in, ssh -v -o ServerAliveInterval=0 HOST sleep 700\n`;
}

/** After --repeat: results by phase, and the times of those that were ok. */
export function summary(target: Target, results: readonly ProbeResult[]): string {
  const counts = new Map<string, number>();
  for (const { failure } of results) {
    const key = failure === undefined ? "ok" : `${failure.reason} in ${phaseTitles[failure.phase]}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const times = results.filter(({ failure }) => failure === undefined).map(({ durationSeconds }) => durationSeconds);
  times.sort((a, b) => a - b);
  const median = times[Math.floor(times.length / 2)];
  const spread =
    median === undefined
      ? []
      : [
          `ok took ${milliseconds(times[0] ?? 0)} to ${milliseconds(times.at(-1) ?? 0)}, median ${milliseconds(median)}`,
        ];
  const lines = [...[...counts].map(([what, count]) => `${count} of ${results.length}: ${what}`), ...spread];
  return `${formatTarget(target)}: ${results.length} probes\n${indented(lines)}`;
}

export function toJson(result: ProbeResult | MtuResult | IdleResult): string {
  const probe = "probe" in result ? result.probe : result;
  return `${JSON.stringify({ ...result, ...verdict(probe) })}\n`;
}
