import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { expect } from "chai";
import { BundleError, Disguise, readBundle, saveBundle } from "../../src/diagnose/bundle.ts";
import { type Diagnosed, diagnoseFrom, type Material } from "../../src/diagnose/diagnose.ts";
import { reportText } from "../../src/diagnose/report.ts";
import { parse } from "../../src/parsers/index.ts";
import { fixture } from "../tallies/replay.ts";

function material(recording: string): Material {
  const records = fixture(recording).filter(({ source }) => source !== "tcp_trace");
  const observations = records.flatMap((record) => {
    const event = parse(record);
    return event === undefined || event.kind === "noted" ? [] : [{ event, record }];
  });
  const [first, last] = [records[0]?.timeMs ?? 0, records.at(-1)?.timeMs ?? 0];
  return {
    window: { fromMs: first - 60_000, toMs: last + 60_000 },
    kernelRead: true,
    known: async () => ["10.77.1.2", "10.77.1.3"].map((address) => ({ address, timeMs: first - 1e6 })),
    peers: { proxies: ["10.77.9.9"], healthChecks: [], ipv6PrefixLength: 64 },
    observations: (async function* () {
      yield observations;
    })(),
    rest: async () => ({
      sources: [{ source: "journal", from: "journalctl", records: records.length }],
      live: [{ name: "sshreset_sshd_up", value: 1 }],
      unmatched: 0,
      notes: ["a note"],
      host: {
        name: "labsrv",
        distribution: "Debian 12",
        kernel: "6.1",
        virtualization: "kvm",
        cloud: "none",
        cpus: 2,
        load1: 0.5,
        memoryAvailableBytes: 1,
        memoryTotalBytes: 2,
        uptimeSeconds: 3,
        services: [{ name: "ssh", running: true }],
        interfaces: [],
      },
    }),
  };
}

describe("diagnose/bundle", () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "bundle-"));
  });
  beforeEach(() => {
    path = join(folder, "x.bundle");
  });
  after(() => rmSync(folder, { recursive: true }));

  async function save(recording: string, plain = false): Promise<Diagnosed> {
    const saving = saveBundle(path, material(recording), plain);
    const diagnosed = await diagnoseFrom(saving.material);
    await saving.done();
    return diagnosed;
  }
  const summary = ({ report }: Diagnosed): unknown => [
    report.conclusion,
    report.steps.map(({ causes }) =>
      causes.map(({ cause, state, episodes, evidence, lineCount }) => [cause, state, episodes, evidence, lineCount]),
    ),
  ];
  const text = (): string => gunzipSync(readFileSync(path)).toString();

  for (const recording of [
    "a2-crashloop",
    "b1-oom-sshd-cgroup",
    "c1-maxstartups",
    "d-tcpwrappers",
    "e2-midsession-ssK-client",
    "g-conntrack-full",
    "t-c4-penalties-authfail",
  ]) {
    it(`gives the same verdict elsewhere: ${recording}`, async () => {
      const here = await save(recording);
      expect(summary(await diagnoseFrom(await readBundle(path)))).to.deep.equal(summary(here));
    });

    it(`holds no user, host or address: ${recording}`, async () => {
      await save(recording);
      expect(text()).not.to.match(/10\.77\.|labuser|labsrv|invalid user|SHA256/);
    });
  }

  it("is the owner's alone to read", async () => {
    await save("d-tcpwrappers");
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });

  it("keeps addresses and decisive lines where that is asked for", async () => {
    await save("d-tcpwrappers", true);
    expect(text()).to.include("refused connect from 10.77.1.3").and.include("labsrv").and.not.include("labuser");
  });

  it("says where it cannot be saved", async () => {
    path = join(folder, "none", "x.bundle");
    const error = await save("t-ok").catch((reason: unknown) => reason);
    expect(error).to.be.instanceOf(BundleError);
    expect((error as Error).message).to.match(/^cannot save ".*none\/x\.bundle": ENOENT/);
  });

  it("disguises an address always as the same one, of its own kind and network", () => {
    const { address } = new Disguise();
    expect(address("192.0.2.7")).to.equal(address("192.0.2.7")).and.not.equal(address("192.0.2.8"));
    expect(address("192.0.2.7")).to.match(/^2[45]\d\.\d+\.\d+\.\d+$/);
    const network = (ip: string): string => ip.split(":").slice(0, 4).join(":");
    expect(network(address("2001:db8:1:2::7"))).to.equal(network(address("2001:db8:1:2:3:4:5:6")));
    expect(network(address("2001:db8:1:2::7"))).not.to.equal(network(address("2001:db8:1:3::7")));
    expect(address("127.0.0.1")).to.equal("127.0.0.1");
    expect(new Disguise().address("192.0.2.7")).not.to.equal(address("192.0.2.7"));
  });

  describe("that is damaged or hostile", () => {
    let lines: string[];
    beforeEach(async () => {
      await save("d-tcpwrappers");
      lines = text().trimEnd().split("\n");
    });

    async function failure(content: Buffer | string): Promise<string> {
      writeFileSync(path, content);
      try {
        await diagnoseFrom(await readBundle(path));
      } catch (error) {
        if (error instanceof BundleError) return error.message;
        throw error;
      }
      return "";
    }
    const changed = (at: number, change: (value: never) => unknown): Buffer =>
      gzipSync(
        lines
          .map((line, index) =>
            index === (at + lines.length) % lines.length ? JSON.stringify(change(JSON.parse(line) as never)) : line,
          )
          .join("\n"),
      );

    it("is no gzip", async () => {
      expect(await failure("hello")).to.match(/^cannot read the bundle ".*": incorrect header check$/);
    });
    it("is cut off anywhere", async () => {
      const whole = readFileSync(path);
      for (let bytes = 0; bytes < whole.length; bytes += 37) {
        expect(await failure(whole.subarray(0, bytes)), `${bytes} bytes`).to.match(
          /unexpected end of file|does not begin|cut off/,
        );
      }
      expect(await failure(gzipSync(lines.slice(0, -1).join("\n")))).to.match(/it was cut off$/);
    });
    it("is another format or version", async () => {
      expect(await failure(gzipSync("{}"))).to.match(/does not begin with "ssh-reset-exporter bundle"$/);
      expect(await failure(changed(0, (head: object) => ({ ...head, version: 9 })))).to.match(
        /version 9, this release reads 1$/,
      );
    });
    it("has observations left out, or something after its end", async () => {
      expect(await failure(gzipSync(lines.toSpliced(2, 1).join("\n")))).to.match(
        /tells of \d+ observations and has \d+$/,
      );
      expect(await failure(gzipSync([...lines, lines[1]].join("\n")))).to.match(/more after its end, at line \d+$/);
    });
    for (const [what, change] of [
      [
        "an address that is none",
        (row: unknown[]) => row.with(5, { kind: "sshd.accepted", address: "a\u001b[2J", port: 1 }),
      ],
      ["a nested event", (row: unknown[]) => row.with(5, { kind: "sshd.accepted", address: { a: 1 } })],
      ["a time that is none", (row: unknown[]) => row.with(0, 1e300)],
      ["a huge count", (row: unknown[]) => row.with(4, 1e12)],
      ["a long text", (row: unknown[]) => row.with(6, "x".repeat(5000))],
      ["an unknown source", (row: unknown[]) => row.with(1, "/etc/passwd")],
      ["too few fields", (row: unknown[]) => row.slice(1)],
    ] as const) {
      it(`has an observation with ${what}`, async () => {
        expect(await failure(changed(2, change as (value: never) => unknown))).to.match(/no good bundle: line 3[[.:]/);
      });
    }
    it("has a window of a thousand years, peers or samples that are none", async () => {
      expect(await failure(changed(0, (head: object) => ({ ...head, window: { fromMs: 0, toMs: 3e13 } })))).to.match(
        /head\.window: it is no window of time$/,
      );
      expect(await failure(changed(0, (head: object) => ({ ...head, known: [{ address: "x", timeMs: 1 }] })))).to.match(
        /head\.known\[0\]\.address: "x" is no address$/,
      );
      expect(
        await failure(changed(0, (head: object) => ({ ...head, saved: { history: { times: [1], series: [{}] } } }))),
      ).to.match(/no good bundle/);
      expect(await failure(changed(-1, (end: object) => ({ ...end, live: [{ name: 1 }] })))).to.match(
        /end\.live\[0\]\.name: 1 is no text$/,
      );
    });
    it("takes an unknown kind of event for nothing", async () => {
      expect(await failure(changed(2, (row: unknown[]) => row.with(5, { kind: "__proto__" })))).to.equal("");
    });
    it("would drive the terminal", async () => {
      writeFileSync(
        path,
        changed(-1, (end: { host: object }) => ({
          ...end,
          notes: ["\u001b[2J"],
          host: { ...end.host, name: "\u001b]0;x" },
        })),
      );
      const text = reportText(await diagnoseFrom(await readBundle(path)), {
        colour: false,
        width: undefined,
      });
      expect(text)
        .to.include("Note: \\u{1b}[2J")
        .and.not.match(/(?!\n)\p{Cc}/u);
    });
    it("is a bomb", async () => {
      const bomb = gzipSync(Buffer.alloc(64 * 1024 * 1024, "x"));
      expect(await failure(bomb)).to.match(/a line that is too long$/);
    }).timeout(10_000);
  });
});
