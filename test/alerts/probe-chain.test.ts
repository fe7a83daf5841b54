/**
 * From a probe to the page, with nothing in between left out: the built exporter's /probe against servers that reset in
 * the key exchange, a real Prometheus with our rules, a real Alertmanager with our routes and templates.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { AlertStack, type Notification } from "../../tools/alert-stack.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { type ExporterProcess, startExporter, waitFor } from "../cli/exporter-process.ts";
import { type FaultServer, faultServer } from "../probe/fault-server.ts";

/** What an exporter says whose host sent no reset, dropped and refused nothing. */
const innocent = `sshreset_sshd_up 1
sshreset_source_up{source="tcp_trace"} 1
sshreset_tcp_resets_sent_total{reason="no_socket"} 0
sshreset_connections_dropped_total{limit="max_startups"} 0
sshreset_tcp_wrappers_refusals_total 0
`;

describe("a probe that is reset in the key exchange", function () {
  this.timeout(180_000);
  let prometheus: Tool;
  let alertmanager: Tool;
  let folder: string;
  const ends: (() => unknown)[] = [];
  before(async function () {
    prometheus = await debianOr(this, "prometheus");
    alertmanager = await debianOr(this, "prometheus-alertmanager");
    folder = mkdtempSync(join(tmpdir(), "ssh-reset-probe-chain-"));
    ends.push(() => rmSync(folder, { recursive: true, force: true }));
  });
  after(async () => {
    for (const end of ends.reverse()) await end();
  });

  it("pages with phase, reason and what that means; blames the path where the host sent no reset; resolves", async () => {
    const keep = (server: FaultServer): FaultServer => {
      ends.push(() => server.close());
      return server;
    };
    // Alike from outside. Of the second one's host there is an exporter.
    const alone = keep(await faultServer("kex_init", "reset"));
    const watched = keep(await faultServer("kex_init", "reset", { host: "127.0.0.2" }));
    const exporter = await startProber(folder, `127.0.0.1:${alone.port}`, `127.0.0.2:${watched.port}`);
    ends.push(() => exporter.stop());
    const host = await serveText(innocent);
    ends.push(() => host.close());
    const pages: Notification[] = [];
    const probe = (instance: string, target: string) => ({
      instance,
      address: new URL(exporter.url).host,
      path: "/probe",
      labels: { __param_target: target, __param_module: "ssh" },
    });
    const stack = await AlertStack.start({
      folder,
      prometheus,
      alertmanager,
      // Three minutes are 12 s.
      settings: { timeScale: 15 },
      targets: [
        probe("bastion.example.com:22", `127.0.0.1:${alone.port}`),
        probe("db1.example.com:22", `127.0.0.2:${watched.port}`),
        {
          instance: "db1.example.com:10922",
          address: `127.0.0.1:${(host.address() as AddressInfo).port}`,
        },
      ],
      onNotification: (page) => pages.push(page),
    });
    ends.push(() => stack.stop());

    const alerts = (status: Notification["status"], alertname: string) =>
      pages
        .filter((page) => page.status === status)
        .flatMap((page) => page.alerts.filter(({ labels }) => labels["alertname"] === alertname));
    const blamed = await waitFor(
      "the page that blames the path",
      60_000,
      async () => alerts("firing", "SshResetProbeBlamesPath")[0],
      () => JSON.stringify(pages, undefined, 1),
    );
    expect(blamed.labels).to.include({ instance: "db1.example.com:22", phase: "kex_init", reason: "reset" });
    expect(blamed.annotations["description"]).to.include("the reset was made between the probe and the host");
    const failed = await waitFor("the page of the other", 30_000, async () =>
      alerts("firing", "SshResetProbeFailed").find(({ labels }) => labels["instance"] === "bastion.example.com:22"),
    );
    expect(failed.labels).to.include({ phase: "kex_init", reason: "reset" });
    expect(failed.annotations["description"])
      .to.include("now with reset in kex_init.")
      .and.include("a middlebox that looks into it, or sshd's process for this connection died");
    expect(failed.annotations["next"]).to.include("ssh-reset-exporter probe bastion.example.com:22");

    for (const [server, address] of [
      [alone, "127.0.0.1"],
      [watched, "127.0.0.2"],
    ] as const) {
      await server.close();
      keep(await faultServer("none", "stall", { host: address, port: server.port }));
    }
    for (const alertname of ["SshResetProbeFailed", "SshResetProbeBlamesPath"]) {
      await waitFor(`${alertname}, resolved`, 60_000, async () => alerts("resolved", alertname)[0]);
    }
    expect(await stack.query('sum(probe_success{instance=~".*:22"})')).to.equal(2);
  });
});

/** Reads nothing of this host. */
function startProber(folder: string, ...allowed: readonly string[]): Promise<ExporterProcess> {
  return startExporter([
    `--state.directory=${mkdtempSync(join(folder, "state-"))}`,
    `--path.rootfs=${join(folder, "nothing")}`,
    `--source.logfile=${join(folder, "auth.log")}`,
    "--no-source.kmsg",
    "--no-source.tcp-trace",
    ...allowed.map((target) => `--probe.allow=${target}`),
  ]);
}

async function serveText(text: string): Promise<Server> {
  const server = createServer((_, response) =>
    response.setHeader("Content-Type", "text/plain; version=0.0.4").end(text),
  );
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}
