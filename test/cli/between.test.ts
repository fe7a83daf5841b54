/** The built exporter beside a proxy's log and a cloud's flow logs: counted once, across kill -9. */
import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type ExporterProcess, runExporter, startExporter } from "./exporter-process.ts";

const host = new URL("../fixtures/hosts/healthy", import.meta.url).pathname;

describe("the exporter beside a proxy's log and flow logs", function () {
  this.timeout(60_000);
  let folder: string;
  let exporter: ExporterProcess | undefined;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "between-"));
  });
  afterEach(async () => {
    await exporter?.stop("SIGKILL");
    rmSync(folder, { recursive: true });
  });

  const flags = (): string[] => [
    ...[`--path.procfs=${host}/proc`, `--path.sysfs=${host}/sys`, `--path.rootfs=${host}`, "--no-source.kmsg"],
    ...["--path.tracefs=/nonexistent", "--no-collector.host", "--sshd.port=22"],
    ...[`--state.directory=${folder}/state`, `--source.logfile=${folder}/auth.log`],
    ...[`--source.haproxy-log=${folder}/haproxy.log`, "--source.haproxy-backend=ssh"],
    `--source.flow-log=${folder}/flows`,
  ];
  const session = (backend: string, state: string): string =>
    `${new Date().toISOString()} lb haproxy[1]: 198.51.100.7:55174 [22/Nov/2026:20:20:24.928] f ${backend}/one 1/0/20002 3214 ${state} 1/1/0/0/0 0/0\n`;
  const flow = (address: string): string =>
    `5 ${address} 10.0.0.2 40000 22 6 REJECT ${Math.floor(Date.now() / 1000)} 2\n`;

  it("counts sessions by who ended them and flows by class of peer", async () => {
    mkdirSync(join(folder, "flows"));
    mkdirSync(join(folder, "state"));
    writeFileSync(
      join(folder, "auth.log"),
      `${new Date().toISOString()} web1 sshd[100]: Accepted publickey for alice from 192.0.2.7 port 5000 ssh2: ED25519 SHA256:x\n`,
    );
    writeFileSync(join(folder, "haproxy.log"), "");
    exporter = await startExporter(flags());
    await exporter.until("the sources", (values) => values.get('sshreset_source_up{source="haproxy"}') === 1);
    appendFileSync(join(folder, "haproxy.log"), session("ssh", "cD") + session("ssh", "SD") + session("db", "cD"));
    const ended = 'sshreset_proxy_sessions_ended_total{ended_by="client_timeout",stage="data"}';
    await exporter.until("the session", (values) => values.get(ended) === 1);
    await exporter.stop("SIGKILL");
    appendFileSync(join(folder, "haproxy.log"), session("ssh", "cD"));
    writeFileSync(
      join(folder, "flows/vpc.log"),
      `version srcaddr dstaddr srcport dstport protocol action start tcp-flags\n${flow("192.0.2.7")}${flow("203.0.113.5")}`,
    );
    exporter = await startExporter(flags());
    const values = await exporter.until(
      "what came meanwhile",
      (now) =>
        now.get(ended) === 2 &&
        now.get('sshreset_cloud_flows_total{provider="aws",action="reject",peer_class="known"}') === 1,
    );
    expect(values.get('sshreset_cloud_flows_total{provider="aws",action="reject",peer_class="unknown"}')).to.equal(1);
    expect(values.get('sshreset_proxy_sessions_ended_total{ended_by="server",stage="data"}')).to.equal(1);
    expect(values.get('sshreset_source_lost_records_total{source="haproxy"}')).to.equal(0);
    expect(values.get('sshreset_source_unmatched_records_total{source="haproxy"}')).to.equal(0);
  });

  it("refuses a folder as haproxy's log", async () => {
    const { code, stderr } = await runExporter(`--state.directory=${folder}`, `--source.haproxy-log=${folder}`);
    expect(code).to.equal(2);
    expect(stderr).to.include(`--source.haproxy-log: ${folder} is a directory, not a log file`);
  });
});
