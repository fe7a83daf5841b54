/** Whatever this host does not give, the status page names with the step that would: on a host that gives nothing. */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type ExporterProcess, startExporter, waitFor } from "./exporter-process.ts";

describe("the status page of a host that gives nothing", function () {
  this.timeout(60_000);
  let folder: string;
  let exporter: ExporterProcess | undefined;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), "grants-"));
    for (const name of ["state", "root", "proc", "sys"]) mkdirSync(join(folder, name), { mode: 0o700 });
    exporter = await startExporter(
      [
        `--state.directory=${folder}/state`,
        `--path.rootfs=${folder}/root`,
        `--path.procfs=${folder}/proc`,
        `--path.sysfs=${folder}/sys`,
        `--path.tracefs=${folder}/nothing`,
        "--no-source.kmsg",
        "--collector.reset_ttl",
      ],
      { PATH: "/nonexistent" },
    );
  });
  after(async () => {
    await exporter?.stop();
    rmSync(folder, { recursive: true });
  });

  it("names a grant for every source and collector that is absent", async () => {
    const rows = await waitFor("settled collectors", 20_000, async () => {
      await exporter?.values();
      const page = (await (await exporter?.get("/"))?.text()) ?? "";
      const found = [...page.matchAll(/<tr><th scope="row">([^<]+)<\/th><td class="part (\w+)">(.*?)<\/tr>/g)];
      return found.some(([, , , rest]) => /not read yet/.test(rest ?? "")) ? undefined : found;
    });
    const absent = rows.filter(([, , state]) => state === "absent");
    expect(absent.map(([, name]) => name)).to.include.members(["tcp_trace", "sshd records", "conntrack", "sockets"]);
    const without = absent.filter(([, , , rest]) => !/to see it: /.test(rest ?? "")).map(([, name]) => name);
    // What does not exist here needs no grant; reset_ttl waits for the trace events, whose own row names the step.
    expect(without).to.deep.equal(["conntrack", "nic", "reset_ttl"]);
  });
});
