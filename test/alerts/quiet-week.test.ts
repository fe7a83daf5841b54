/**
 * A quiet week of an internet-facing host (two days of it outside of `npm run full`), minute by minute: scanners in
 * waves, throttled and refused ones among them, health checks, laptops that are closed, restarts every night, kills of
 * something else, load at night. Nobody is paged.
 */
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { isFull } from "../../tools/full.ts";
import { runTests } from "./promtool.ts";
import { scanners } from "./scenarios.ts";
import { type Change, SimulatedHost } from "./simulated-host.ts";

const days = isFull ? 7 : 2;
const minutes = days * 24 * 60;
const day = 86_400;

/** Always the same: a linear congruential generator (Numerical Recipes). */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function quiet(): Change[] {
  const next = random(42);
  const changes: Change[] = [];
  const ended = (at: number, phase: string, outcome: string, peer_class: string, add = 1): number =>
    changes.push({ metric: "connections_ended_total", labels: { phase, outcome, peer_class }, at, add });
  for (const wave of scanners) {
    for (let hour = 0; hour < days * 24; hour += 1 + Math.floor(next() * 6)) {
      const until = hour * 3600 + 600 + next() * 3000;
      changes.push({ ...wave, at: hour * 3600, until, perMinute: (wave.perMinute ?? 0) * next() });
    }
  }
  changes.push({
    metric: "connections_ended_total",
    labels: { phase: "banner", outcome: "closed", peer_class: "health_check" },
    at: 0,
    perMinute: 60,
  });
  for (let n = 0; n < days * 30; n += 1) {
    // A laptop is closed: its session is reset or times out; one known peer at a time.
    const at = Math.floor((n + next() / 2) * (day / 30));
    ended(at, "session", next() < 0.7 ? "reset" : "timeout", "known");
    changes.push({ metric: "known_peers_reset", at, until: at + 600, value: 1 });
  }
  for (let night = 0; night < days; night += 1) {
    const at = night * day + 3 * 3600;
    changes.push({ metric: "sshd_stops_total", labels: { reason: "requested" }, at, add: 1 });
    changes.push({ metric: "sshd_starts_total", at: at + 2, add: 1 });
    changes.push({ metric: "load1", at, until: at + 7200, value: 24 });
    changes.push({ metric: "oom_kills_total", labels: { victim: "other", scope: "cgroup" }, at: at + 900, add: 2 });
    changes.push({ metric: "conntrack_entries", at: at + 9000, until: at + 12_600, value: 150_000 });
    ended(at + 3600, "auth", "timeout", "known");
  }
  return changes;
}

describe("a quiet week with scanners", () => {
  it("pages nobody", async function () {
    const promtool = await debianOr(this, "promtool");
    this.timeout(600_000);
    const paged = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing",severity!="info"}[8d]))';
    const restarts = 'count(count_over_time(ALERTS{alertname="SshdRestarted",alertstate="firing"}[8d]))';
    const test = {
      interval: "1m",
      input_series: new SimulatedHost(quiet()).inputSeries(minutes, 60, { job: "ssh", instance: "db1:10922" }),
      promql_expr_test: [
        { expr: paged, eval_time: `${minutes - 1}m`, exp_samples: [] },
        // The time did reach the rules.
        { expr: restarts, eval_time: `${minutes - 1}m`, exp_samples: [{ labels: "{}", value: 1 }] },
      ],
    };
    const { code, output } = await runTests(promtool, [test], undefined, "1m");
    expect(code, output).to.equal(0);
  });
});
