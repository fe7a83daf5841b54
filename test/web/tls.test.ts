/** TLS, client certificates and basic authentication of the built program: curl with right and wrong ones, and a real Prometheus. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashSync } from "bcryptjs";
import { expect } from "chai";
import { debianOr } from "../../tools/debian.ts";
import { type ExporterProcess, startExporter, waitFor } from "../cli/exporter-process.ts";

describe("web/server with --web.config.file", function () {
  this.timeout(60_000);
  let folder: string;
  let exporter: ExporterProcess | undefined;
  const at = (name: string) => join(folder, name);

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "tls-"));
    mkdirSync(at("state"));
    openssl(
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
      "-subj",
      "/CN=test CA",
      "-keyout",
      at("ca.key"),
      "-out",
      at("ca.pem"),
    );
    certificate("server", "IP:127.0.0.1");
    certificate("client", "DNS:prometheus.example");
    certificate("other", "DNS:other.example");
  });
  after(() => rmSync(folder, { recursive: true }));
  afterEach(async () => {
    await exporter?.stop();
    exporter = undefined;
  });

  function openssl(...args: string[]): void {
    const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
    if (status !== 0) throw new Error(stderr);
  }

  function certificate(name: string, san: string): void {
    openssl(
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      at(`${name}.key`),
      "-out",
      at(`${name}.csr`),
    );
    writeFileSync(at("ext"), `subjectAltName=${san}\n`);
    openssl(
      "x509",
      "-req",
      "-in",
      at(`${name}.csr`),
      "-CA",
      at("ca.pem"),
      "-CAkey",
      at("ca.key"),
      "-CAcreateserial",
      "-days",
      "2",
      "-extfile",
      at("ext"),
      "-out",
      at(`${name}.pem`),
    );
  }

  async function start(webConfig: string): Promise<string> {
    writeFileSync(at("web.yml"), webConfig);
    exporter = await startExporter([
      `--state.directory=${at("state")}`,
      "--no-source.journal",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
      `--web.config.file=${at("web.yml")}`,
    ]);
    return exporter.url.replace("http:", "https:");
  }

  /** HTTP status, or curl's own exit code as `curl N` where there was no answer. */
  function curl(url: string, ...args: string[]): string {
    const { status, stdout } = spawnSync(
      "curl",
      ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", at("ca.pem"), "--max-time", "10", ...args, url],
      { encoding: "utf8" },
    );
    return status === 0 ? stdout : `curl ${status}`;
  }

  const tls = (more = "") => `tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n${more}`;

  it("serves TLS, 1.2 and 1.3 as limited, and no plain text", async () => {
    const url = await start(tls("  min_version: TLS13\n"));
    expect(curl(`${url}/metrics`)).to.equal("200");
    expect(curl(`${url}/metrics`, "--tls-max", "1.2")).to.equal("curl 35");
    expect(curl(`${url.replace("https:", "http:")}/metrics`)).to.match(/^curl (1|52|56)$/);
  });

  it("demands a client certificate of the CA with an allowed name", async () => {
    const url = await start(
      tls(
        "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n  client_allowed_sans: [prometheus.example]\n",
      ),
    );
    expect(curl(`${url}/metrics`)).to.match(/^curl (35|56)$/);
    expect(curl(`${url}/metrics`, "--cert", at("client.pem"), "--key", at("client.key"))).to.equal("200");
    expect(curl(`${url}/metrics`, "--cert", at("other.pem"), "--key", at("other.key"))).to.equal("403");
  });

  it("demands any certificate, or verifies one only if given", async () => {
    const any = await start(tls("  client_auth_type: RequireAnyClientCert\n"));
    expect(curl(`${any}/metrics`)).to.equal("403");
    expect(curl(`${any}/metrics`, "--cert", at("client.pem"), "--key", at("client.key"))).to.equal("200");
    await exporter?.stop();
    const ifGiven = await start(tls("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: ca.pem\n"));
    expect(curl(`${ifGiven}/metrics`)).to.equal("200");
    expect(curl(`${ifGiven}/metrics`, "--cert", at("client.pem"), "--key", at("client.key"))).to.equal("200");
  });

  for (const prefix of ["$2a$", "$2b$", "$2y$"]) {
    it(`asks for a password whose hash begins with ${prefix}, on every page`, async () => {
      const hash = hashSync("right", 4).replace(/^\$2[aby]\$/, prefix);
      const url = (await start(`basic_auth_users:\n  alice: ${hash}\n`)).replace("https:", "http:");
      for (const page of ["/", "/metrics", "/-/healthy"]) {
        expect(curl(url + page), page).to.equal("401");
        expect(curl(url + page, "-u", "alice:wrong"), page).to.equal("401");
        expect(curl(url + page, "-u", "mallory:right"), page).to.equal("401");
        expect(curl(url + page, "-u", "alice:right"), page).to.equal("200");
        expect(curl(url + page, "-u", "alice:right"), `${page}, remembered`).to.equal("200");
      }
    });
  }

  it("takes a new password without TLS too", async () => {
    const users = (password: string) => `basic_auth_users:\n  alice: ${hashSync(password, 4)}\n`;
    const url = (await start(users("first"))).replace("https:", "http:");
    expect(curl(`${url}/`, "-u", "alice:first")).to.equal("200");
    writeFileSync(at("web.yml"), users("second"));
    await waitFor("the new password", 10_000, async () => curl(`${url}/`, "-u", "alice:second") === "200" || undefined);
    expect(curl(`${url}/`, "-u", "alice:first")).to.equal("401");
  });

  it("takes a new password and a new certificate without a restart, and keeps the old ones when the new are broken", async () => {
    const users = (password: string) => `basic_auth_users:\n  alice: ${hashSync(password, 4)}\n`;
    const url = await start(tls() + users("first"));
    expect(curl(`${url}/`, "-u", "alice:first")).to.equal("200");
    writeFileSync(at("web.yml"), tls() + users("second"));
    await waitFor("the new password", 10_000, async () => curl(`${url}/`, "-u", "alice:second") === "200" || undefined);
    expect(curl(`${url}/`, "-u", "alice:first")).to.equal("401");

    renameSync(at("server.pem"), at("kept.pem"));
    await waitFor("a warning", 10_000, async () => {
      curl(`${url}/`);
      return /cannot read .*server\.pem.*stays so/.test(exporter?.stderr() ?? "") || undefined;
    });
    expect(curl(`${url}/`, "-u", "alice:second")).to.equal("200");
    const before = serial(url);
    certificate("server", "IP:127.0.0.1");
    await waitFor("the new certificate", 10_000, async () => serial(url) !== before || undefined);
  });

  function serial(url: string): string {
    const target = url.replace("https://", "");
    const { stdout } = spawnSync(
      "sh",
      ["-c", `openssl s_client -connect ${target} </dev/null 2>/dev/null | openssl x509 -noout -serial`],
      { encoding: "utf8" },
    );
    return stdout;
  }

  it("is scraped by a real Prometheus with client certificate and password", async function () {
    const prometheus = await debianOr(this, "prometheus");
    const url = await start(
      `${tls("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n")}basic_auth_users:\n  alice: ${hashSync("right", 4)}\n`,
    );
    writeFileSync(
      at("prometheus.yml"),
      `global: {scrape_interval: 1s}
scrape_configs:
  - job_name: ssh
    scheme: https
    basic_auth: {username: alice, password: right}
    tls_config: {ca_file: ca.pem, cert_file: client.pem, key_file: client.key}
    static_configs: [{targets: ["${url.replace("https://", "")}"]}]
`,
    );
    const port = await freePort();
    const child = spawn(
      prometheus.path,
      [
        `--config.file=${at("prometheus.yml")}`,
        `--storage.tsdb.path=${at("tsdb")}`,
        `--web.listen-address=127.0.0.1:${port}`,
      ],
      { stdio: "ignore", env: prometheus.env },
    );
    try {
      const up = await waitFor("a scrape", 40_000, async () => {
        const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=up`)
          .then((r) => r.json())
          .catch(() => undefined);
        return (answer as { data?: { result?: { value: [number, string] }[] } } | undefined)?.data?.result?.[0]
          ?.value[1];
      });
      expect(up).to.equal("1");
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
