/** Who sees log lines on the status page of the built program: nobody without a password and --web.show-evidence. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashSync } from "bcryptjs";
import { expect } from "chai";
import { type ExporterProcess, startExporter } from "../cli/exporter-process.ts";

describe("web/status-page of the built program", function () {
  this.timeout(40_000);
  let folder: string;
  let exporter: ExporterProcess | undefined;
  const authorization = `Basic ${Buffer.from("prometheus:secret").toString("base64")}`;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "status-"));
    mkdirSync(join(folder, "state"));
    const now = Date.now();
    const at = (secondsAgo: number): string => new Date(now - secondsAgo * 1000).toISOString().replace("Z", "+00:00");
    writeFileSync(
      join(folder, "auth.log"),
      `${at(20)} web1 sshd[100]: Accepted publickey for alice from 192.0.2.7 port 5000 ssh2: ED25519 SHA256:x\n` +
        `${at(10)} web1 sshd[200]: refused connect from 192.0.2.7 (192.0.2.7)\n`,
    );
    writeFileSync(join(folder, "web.yml"), `basic_auth_users:\n  prometheus: ${hashSync("secret", 4)}\n`);
  });
  afterEach(async () => {
    await exporter?.stop();
    exporter = undefined;
    rmSync(folder, { recursive: true });
  });

  async function pages(...flags: string[]): Promise<string> {
    exporter = await startExporter([
      `--state.directory=${folder}/state`,
      `--source.logfile=${folder}/auth.log`,
      "--source.from-beginning",
      "--no-source.kmsg",
      "--no-source.tcp-trace",
      `--web.config.file=${folder}/web.yml`,
      ...flags,
    ]);
    const read = async (path: string): Promise<string> => {
      const answer = await (exporter as ExporterProcess).get(path, { authorization });
      expect(answer.status, path).to.equal(200);
      return answer.text();
    };
    const deadline = Date.now() + 15_000;
    while (!/tcp_wrappers_refusals_total 1/.test(await read("/metrics"))) {
      if (Date.now() > deadline) throw new Error("the refusal was not counted");
    }
    return (await read("/")) + (await read("/api/v1/diagnosis"));
  }

  it("shows counts and times only", async () => {
    expect(await pages())
      .to.include('"cause":"tcp_wrappers"')
      .and.not.match(/192\.0\.2\.7|alice|refused connect from/);
  });

  it("shows the decisive lines with --web.show-evidence, to who has the password", async () => {
    expect(await pages("--web.show-evidence")).to.include("refused connect from 192.0.2.7");
    for (const path of ["/", "/api/v1/diagnosis", "/style.css"]) {
      expect((await exporter?.get(path))?.status, path).to.equal(401);
    }
  });

  it("shows none where the password was taken out of the file", async () => {
    writeFileSync(join(folder, "web.yml"), "");
    expect(await pages("--web.show-evidence")).not.to.match(/192\.0\.2\.7|refused connect from/);
  });
});
