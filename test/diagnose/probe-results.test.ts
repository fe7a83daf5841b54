import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ConfigError } from "../../src/config/error.ts";
import type { Observation } from "../../src/diagnose/observation.ts";
import { type Inside, outsideReport, ProbesInLog, readProbes } from "../../src/diagnose/probe-results.ts";
import { type CauseSeen, checklist, type Ends } from "../../src/diagnosis/checklist.ts";
import { Diagnosis, type DiagnosisSnapshot } from "../../src/diagnosis/verdict.ts";
import { parse } from "../../src/parsers/index.ts";
import type { ProbeResult } from "../../src/probe/probe.ts";
import { toJson } from "../../src/probe/report.ts";

const atMs = Date.UTC(2026, 10, 22, 18, 30);
const window = { fromMs: atMs - 30 * 60_000, toMs: atMs + 30 * 60_000 };

const ok: ProbeResult = {
  target: { host: "bastion", port: 22 },
  address: "192.0.2.1",
  timeMs: atMs,
  local: { address: "198.51.100.7", port: 40_001 },
  result: "ok",
  phaseSeconds: { dns: 0.001, connect: 0.01, banner: 0.01 },
  durationSeconds: 0.021,
  text: [],
};
const failing = (
  phase: "dns" | "connect" | "banner" | "kex_init",
  reason: "refused" | "reset" | "timeout",
): ProbeResult => ({
  ...ok,
  result: reason,
  failure: { phase, reason, ...(reason === "reset" && { errno: "ECONNRESET" }) },
});
const reset = failing("kex_init", "reset");

describe("what a probe saw, held against this host", () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "probe-results-"));
    path = join(folder, "probe.json");
  });
  after(() => rmSync(folder, { recursive: true }));

  /** Through the file, as from `probe --json`. */
  const read = (...results: Parameters<typeof toJson>[0][]) => {
    writeFileSync(path, results.map(toJson).join(""));
    return readProbes(path);
  };

  interface Host {
    readonly cause?: "sshd_crash" | "sshd_down" | "tcp_wrappers";
    readonly causeAtMs?: number;
    readonly ends?: Partial<Ends>;
    /** What sshd logged of the probe's connection. */
    readonly says?: string;
    readonly saidAtMs?: number;
    /** Resets that the kernel sent within the probe's minute. */
    readonly sent?: number;
    readonly trace?: boolean;
  }

  function view(probes: readonly Parameters<typeof toJson>[0][], host: Host = {}) {
    const looks = read(...probes);
    const log = new ProbesInLog(looks);
    if (host.says !== undefined) log.take(observation(host.says, host.saidAtMs ?? atMs + 100));
    const active: CauseSeen = {
      state: "inactive",
      observable: true,
      episodes: [{ fromMs: host.causeAtMs ?? atMs, toMs: (host.causeAtMs ?? atMs) + 60_000 }],
      evidence: [],
    };
    const report = checklist({
      ...window,
      seen: new Map(host.cause === undefined ? [] : [[host.cause, active]]),
      symptom: { state: "inactive", explainedBy: [] },
      ends: { visible: true, ...host.ends },
    });
    const saved = host.sent === undefined ? undefined : samples(host.sent, host.trace !== false);
    const inside: Inside = { window, report, log, saved };
    const { view: seen, sentence, because, next } = outsideReport(looks, inside);
    return { view: seen, text: [sentence, ...because, ...next].join("\n") };
  }

  function observation(message: string, timeMs: number): Observation {
    const record = { source: "logfile", timeMs, ident: "sshd", pid: 7, count: 1, message } as const;
    const event = parse(record);
    if (event === undefined) throw new Error(`not understood: ${message}`);
    return { event, record };
  }

  /** As an exporter keeps them. */
  function samples(sent: number, trace: boolean): DiagnosisSnapshot {
    const diagnosis = new Diagnosis();
    for (let n = -8; n <= 8; n++) {
      diagnosis.record(atMs + n * 15_000 + 5_000, [
        { name: "sshreset_source_up", labels: { source: "tcp_trace" }, value: trace ? 1 : 0 },
        { name: "sshreset_tcp_resets_sent_total", labels: { reason: "no_socket" }, value: 3 + (n >= 0 ? sent : 0) },
      ]);
    }
    return JSON.parse(JSON.stringify(diagnosis.snapshot())) as DiagnosisSnapshot;
  }

  it("both: what was found here at that time does that", () => {
    const { view: seen, text } = view([reset], { cause: "sshd_crash" });
    expect(seen).to.equal("both");
    expect(text).to.include("found here at that time: sshd crashed.");
  });

  it("not both: what was found cannot do that, or was at another time", () => {
    expect(view([reset], { cause: "sshd_down" }).view).to.equal("outside_only");
    expect(view([failing("connect", "refused")], { cause: "sshd_down" }).view).to.equal("both");
    expect(view([reset], { cause: "tcp_wrappers" }).view).to.equal("outside_only");
    expect(view([reset], { cause: "sshd_crash", causeAtMs: atMs - 20 * 60_000 }).view).to.equal("outside_only");
  });

  it("both: sshd's own log says that it ended the connection", () => {
    const says = "drop connection #11 from [198.51.100.7]:40001 on [192.0.2.1]:22 past MaxStartups";
    const { view: seen, text } = view([failing("banner", "reset")], { says });
    expect(seen).to.equal("both");
    expect(text).to.include(`sshd logged: "${says}"`);
  });

  it("only outside, proven by sshd's log: to it, the client reset the same connection", () => {
    const { view: seen, text } = view([reset], { says: "Connection reset by 198.51.100.7 port 40001 [preauth]" });
    expect(seen).to.equal("outside_only");
    expect(text).to.include("Both ends were told so by somebody between").and.not.include("Not proven");
  });

  it("not both: an sshd that heard its end did not crash with it", () => {
    const says = "Connection reset by 198.51.100.7 port 40001 [preauth]";
    expect(view([reset], { cause: "sshd_crash", says }).view).to.equal("outside_only");
  });

  it("of another connection proves nothing", () => {
    const { view: seen, text } = view([reset], { says: "Connection reset by 198.51.100.7 port 40002 [preauth]" });
    expect(seen).to.equal("outside_only");
    expect(text).to.include("Not proven: sshd's log has no line of the probe's connection");
  });

  it("tells that clocks differ", () => {
    const says = "Connection reset by 198.51.100.7 port 40001 [preauth]";
    expect(view([reset], { says, saidAtMs: atMs + 600_000 }).text).to.include("600 s later: the clocks differ");
  });

  it("only outside, proven by the kernel: it sent no reset", () => {
    const { view: seen, text } = view([reset], { sent: 0 });
    expect(seen).to.equal("outside_only");
    expect(text).to.include("sent no reset from sshd's ports").and.not.include("Not proven");
  });

  it("undecided: the kernel sent resets that nothing explains", () => {
    const { view: seen, text } = view([reset], { sent: 2 });
    expect(seen).to.equal("undecided");
    expect(text).to.include("sent 2 resets");
  });

  it("only outside, not proven: nobody read the kernel's resets, or their time is not among the samples", () => {
    for (const { view: seen, text } of [
      view([reset], { sent: 2, trace: false }),
      view([reset]),
      view([{ ...reset, timeMs: atMs - 20 * 60_000 }], { sent: 0 }),
    ]) {
      expect(seen).to.equal("outside_only");
      expect(text).to.include("Not proven").and.include("Not checked: the resets that this host's kernel sent");
    }
  });

  it("a timeout after the banner is no proof, though sshd heard the probe give up", () => {
    const says = "Connection reset by 198.51.100.7 port 40001 [preauth]";
    const { view: seen, text } = view([failing("kex_init", "timeout")], { says });
    expect(seen).to.equal("outside_only");
    expect(text).to.include("Not proven: the connection reached sshd here").and.not.include("Not checked");
  });

  it("only this host: the probes came through", () => {
    expect(view([ok, ok], { cause: "sshd_crash" })).to.deep.include({ view: "host_only" });
    expect(view([ok, ok], { ends: { knownResets: 3 } }).text).to.include("all 2 probes came through");
  });

  it("neither", () => {
    expect(view([ok]).view).to.equal("neither");
  });

  it("undecided: nothing can be seen here, no name, another time", () => {
    expect(view([reset], { ends: { visible: false } }).view).to.equal("undecided");
    expect(view([ok], { ends: { visible: false } }).view).to.equal("undecided");
    expect(view([failing("dns", "timeout")]).text).to.include("Undecided: the name was not resolved");
    expect(view([{ ...reset, timeMs: atMs - 5 * 3_600_000 }]).text).to.include("Undecided: the probes are of another");
  });

  it("one failure among many counts", () => {
    expect(view([ok, ok, reset]).view).to.equal("outside_only");
  });

  it("of --mtu and --idle what they found", () => {
    const mtu = { probe: ok, outwards: { passed: 1396, stalled: 1420 }, inwards: { stalled: false } };
    expect(read(mtu)[0]).to.deep.include({ saw: "large packets stall", suspects: ["mtu"] });
    expect(read({ probe: reset, cutAfterSeconds: 60, cutBy: "idle" })[0]).to.deep.include({ saw: "cut when idle" });
    expect(read({ ...mtu, outwards: { passed: 9004 } })[0]?.suspects).to.deep.equal([]);
  });

  const line = toJson(reset);
  const mistakes: readonly (readonly [string, string, string])[] = [
    ["an empty file", "", "is empty: probe --json writes one result a line"],
    ["the text of probe without --json", "bastion:22: ok in 3 ms\n", "line 1 is no result of probe --json: Unexpected"],
    ["a line cut off", `${line}${line.slice(0, 50)}`, "line 2 is no result of probe --json: "],
    ["another JSON", "[1]\n", "line 1 is no result of probe --json: result: [1] is no object"],
    ["an unknown result", line.replaceAll('"reset"', '"boom"'), '"boom" is no one of ok, refused'],
    ["a result without its failure", line.replace(/"failure":\{[^}]*\},/, ""), "result and failure contradict"],
    ["an address that is none", line.replace("198.51.100.7", "x.example"), '"x.example" is no address'],
    ["several hosts", line + line.replace('"bastion"', '"other"'), "has probes of bastion:22 and of other:22"],
    ["too many results", line.repeat(10_001), "has 10001 results, more than 10000"],
    ["a file that is too large", " ".repeat(16 * 1024 * 1024 + 1), "16777217 bytes are more than 16777216"],
  ];
  for (const [what, content, message] of mistakes) {
    it(`refuses ${what}`, () => {
      writeFileSync(path, content);
      expect(() => readProbes(path)).to.throw(ConfigError, message);
      expect(() => readProbes(path))
        .to.throw(ConfigError, `--probe: `)
        .and.to.have.property("message")
        .include(path);
    });
  }

  it("refuses a file that is not there", () => {
    expect(() => readProbes(join(folder, "none"))).to.throw(
      ConfigError,
      `cannot read "${join(folder, "none")}": ENOENT`,
    );
  });

  it("prints nothing of the file that a terminal obeys", () => {
    const hostile = { ...reset, failure: { phase: "banner", reason: "reset", errno: "\u001b[31mX" } } as ProbeResult;
    expect(read(hostile)[0]?.saw).to.not.include("\u001b");
  });
});
