/** What lies between: real flow-log samples and a log of sshd beside each other, haproxy's log, samples of an exporter. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import { collectorModules } from "../../src/collectors/index.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readBundle, saveBundle } from "../../src/diagnose/bundle.ts";
import { type Diagnosed, diagnoseFrom, type Material } from "../../src/diagnose/diagnose.ts";
import { hostMaterial } from "../../src/diagnose/host-material.ts";
import { reportText } from "../../src/diagnose/report.ts";
import { Diagnosis } from "../../src/diagnosis/verdict.ts";

const host = new URL("../fixtures/hosts/healthy", import.meta.url).pathname;
const minuteMs = 60_000;
const startMs = Math.floor(Date.now() / 1000) * 1000 - 50 * minuteMs;
const at = (minutes: number): number => startMs + minutes * minuteMs;
const iso = (minutes: number): string => new Date(at(minutes)).toISOString().replace("Z", "+00:00");
const seconds = (minutes: number): number => at(minutes) / 1000;

describe("diagnose: the network in between", function () {
  this.timeout(30_000);
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-between-"));
    mkdirSync(join(folder, "flows"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const material = (flags: readonly string[] = []): Material => {
    const args = [
      ...[`--path.procfs=${host}/proc`, `--path.sysfs=${host}/sys`, `--path.rootfs=${host}`, "--no-source.kmsg"],
      ...[`--state.directory=${folder}/state`, `--source.logfile=${folder}/auth.log`, "--sshd.port=22"],
      ...flags,
    ];
    const { config } = loadConfig(args, collectorModules);
    return hostMaterial(config, { fromMs: startMs, toMs: Date.now() }, () => undefined);
  };
  const diagnosed = (...flags: string[]): Promise<Diagnosed> => diagnoseFrom(material(flags));
  const text = (found: Diagnosed): string => reportText(found, { colour: false, width: undefined });
  const login = (minutes: number, address: string): string =>
    `${iso(minutes)} web1 sshd[100]: Accepted publickey for alice from ${address} port 5000 ssh2: ED25519 SHA256:x\n`;
  const gcp = (minutes: number, address: string, disposition: string, rule: string): string =>
    `${JSON.stringify({
      timestamp: iso(minutes),
      jsonPayload: {
        connection: { src_ip: address, src_port: 40_000, dest_ip: "10.0.0.2", dest_port: 22, protocol: 6 },
        disposition,
        rule_details: { reference: rule },
      },
    })}\n`;
  const awsHeader = "version srcaddr dstaddr srcport dstport protocol action start tcp-flags\n";
  const aws = (minutes: number, address: string, action: string, flags: number): string =>
    `5 ${address} 10.0.0.2 40000 22 6 ${action} ${seconds(minutes)} ${flags}\n`;

  it("says whom the cloud rejected and by which rule, and whom it admitted without anything arriving", async () => {
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7") + login(2, "192.0.2.8") + login(41, "192.0.2.9"));
    writeFileSync(
      join(folder, "flows/firewall.json"),
      [20, 21, 22, 23].map((minute) => gcp(minute, "192.0.2.7", "DENIED", "network:default/firewall:no-ssh")).join("") +
        gcp(30, "203.0.113.5", "DENIED", "network:default/firewall:no-ssh") +
        gcp(40, "192.0.2.9", "ALLOWED", "network:default/firewall:ssh"),
    );
    writeFileSync(
      join(folder, "flows/vpc.log.gz"),
      gzipSync(awsHeader + aws(25, "192.0.2.8", "ACCEPT", 2) + aws(26, "192.0.2.8", "ACCEPT", 16)),
    );
    const found = await diagnosed(`--source.flow-log=${folder}/flows`);
    expect(found.between?.rejected).to.deep.equal({
      peers: [
        {
          address: "192.0.2.7",
          known: true,
          provider: "gcp",
          flows: 4,
          rules: ["network:default/firewall:no-ssh"],
          fromMs: at(20),
          toMs: at(23),
        },
        {
          address: "203.0.113.5",
          known: false,
          provider: "gcp",
          flows: 1,
          rules: ["network:default/firewall:no-ssh"],
          fromMs: at(30),
          toMs: at(30),
        },
      ],
      others: { addresses: 0, flows: 0 },
    });
    expect(found.between?.unseen?.peers.map(({ address, flows }) => [address, flows])).to.deep.equal([
      ["192.0.2.8", 1],
    ]);
    expect(found.report.conclusion.cause).to.equal("cloud_limit");
    expect(text(found))
      .to.include("the cloud rejected:")
      .and.match(/- 192\.0\.2\.7 \(known peer\): 4 flows \(gcp\), .*, by network:default\/firewall:no-ssh\n/)
      .and.include("the cloud admitted, yet nothing of it was seen here:");
    expect(JSON.parse(JSON.stringify(found)).between.rejected.peers[0].rules).to.deep.equal([
      "network:default/firewall:no-ssh",
    ]);
  });

  it("keeps the rules in a bundle, and hides the addresses there", async () => {
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7"));
    const denied = [20, 21, 22].map((minute) => gcp(minute, "192.0.2.7", "DENIED", "network:default/firewall:no-ssh"));
    writeFileSync(join(folder, "flows/firewall.json"), denied.join(""));
    const path = join(folder, "host.bundle");
    const saving = saveBundle(path, material([`--source.flow-log=${folder}/flows`]), false);
    await diagnoseFrom(saving.material);
    await saving.done();
    const [peer] = (await diagnoseFrom(await readBundle(path))).between?.rejected?.peers ?? [];
    expect(peer).to.include({ flows: 3, known: true });
    expect(peer?.rules).to.deep.equal(["network:default/firewall:no-ssh"]);
    expect(peer?.address).to.not.equal("192.0.2.7");
  });

  it("says what is wrong with a flow log that cannot be read", async () => {
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7"));
    writeFileSync(join(folder, "flows/vpc.log"), "version srcaddr dstaddr\n5 a b\n");
    const found = await diagnosed(`--source.flow-log=${folder}/flows`);
    expect(text(found)).to.include("the header line lacks srcport, dstport, protocol, action");
  });

  it("tells who ended haproxy's sessions; its timeouts are the cause", async () => {
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7"));
    const ended = (minutes: number, backend: string, state: string): string =>
      `${iso(minutes)} lb haproxy[1]: 198.51.100.7:55174 [22/Nov/2026:20:20:24.928] f ${backend}/one 1/0/20002 3214 ${state} 1/1/0/0/0 0/0\n`;
    writeFileSync(
      join(folder, "haproxy.log"),
      [10, 11, 12].map((minute) => ended(minute, "ssh", "cD")).join("") +
        ended(13, "ssh", "--") +
        ended(14, "db", "sD"),
    );
    const found = await diagnosed(`--source.haproxy-log=${folder}/haproxy.log`, "--source.haproxy-backend=ssh");
    expect(found.between?.proxy).to.deep.equal({ ended: { client_timeout: 3, nobody: 1 }, serversDown: 0 });
    expect(found.report.conclusion.cause).to.equal("idle_timeout");
    expect(text(found)).to.include("haproxy's sessions ended by: 3 client_timeout, 1 nobody.");
  });

  it("names balancers that sshd turned away", async () => {
    const drop = (minutes: number): string =>
      `${iso(minutes)} web1 sshd[1]: drop connection #0 from [10.0.9.1]:4000 on [10.0.0.2]:22 penalty: connections without attempting authentication\n`;
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7") + drop(10) + drop(11));
    const found = await diagnosed("--peers.health-check=10.0.9.1");
    expect(found.between?.turnedAway).to.deep.equal([{ address: "10.0.9.1", peerClass: "health_check", drops: 2 }]);
    expect(found.report.conclusion.cause).to.equal("balancer_throttled");
    expect(text(found)).to.include("sshd dropped 10.0.9.1 (health check) 2 times: it may take this host for down.");
  });

  it("finds PROXY headers of a peer that has logged in here, and only those", async () => {
    const header = (minutes: number, address: string, said: string): string =>
      `${iso(minutes)} web1 sshd[${minutes}]: error: kex_exchange_identification: client sent invalid protocol identifier "${said}"\n` +
      `${iso(minutes)} web1 sshd[${minutes}]: banner exchange: Connection from ${address} port 4${minutes}: invalid format\n`;
    const headers = (address: string): string =>
      header(20, address, "PROXY TCP4 198.51.100.7 10.0.0.2 56324 22") +
      header(21, address, "") +
      header(22, address, "");
    writeFileSync(join(folder, "auth.log"), login(1, "10.0.9.1") + headers("203.0.113.5"));
    expect((await diagnosed()).report.conclusion.cause).to.equal(undefined);
    writeFileSync(join(folder, "auth.log"), login(1, "10.0.9.1") + headers("10.0.9.1"));
    expect((await diagnosed()).report.conclusion.cause).to.equal("proxy_protocol");
  });

  it("holds the age at which sessions were cut against products and sshd's keep-alive", async () => {
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7"));
    const samples = new Diagnosis();
    for (const minute of [10, 11, 12, 13])
      samples.record(at(minute), [
        { name: "sshreset_sessions_cut_idle_total", labels: { timeout: "600" }, value: minute - 10 },
      ]);
    const given = material();
    const found = await diagnoseFrom({ ...given, saved: samples.snapshot() });
    // The fixture host has ClientAliveInterval 120.
    expect(found.between?.idle).to.deep.equal({
      cuts: [
        {
          seconds: 600,
          sessions: 3,
          products: [
            { product: "Google Cloud's VPC firewall", keptOpen: true },
            { product: "nginx (stream)", keptOpen: true },
          ],
        },
      ],
      keepAlive: "ClientAliveInterval 120 sends something every 120 s, TCPKeepAlive's first probe comes after 7200 s",
    });
    expect(text(found))
      .to.include("3 sessions cut after 600 s of silence.")
      .and.include("- nginx (stream): sshd would have kept it open");
  });

  it("has nothing to say where nothing lies between", async () => {
    writeFileSync(join(folder, "auth.log"), login(1, "192.0.2.7"));
    const found = await diagnosed();
    expect(found).to.not.have.property("between");
    expect(text(found)).to.not.include("In between");
  });
});
