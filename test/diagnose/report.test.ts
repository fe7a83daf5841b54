import { expect } from "chai";
import type { Diagnosed } from "../../src/diagnose/diagnose.ts";
import { reportText } from "../../src/diagnose/report.ts";
import { scene } from "../web/scenes.ts";

const escapeCode = String.fromCharCode(27);

describe("diagnose/report", function () {
  this.timeout(20_000);
  let crash: Diagnosed;
  before(async () => {
    const { report } = await scene("a1-kill9-main", [], true);
    crash = {
      report,
      sources: [
        { source: "journal", from: "journalctl", records: 21 },
        {
          source: "kmsg",
          from: "/dev/kmsg",
          records: 0,
          missing: { reason: "/dev/kmsg: permission denied", grant: "CAP_SYSLOG" },
        },
      ],
      knownPeers: 3,
      unmatched: 2,
      notes: ["no exporter has kept samples."],
      lines: [],
    };
  });

  it("reads from step to step to the verdict, and on to the next commands", () => {
    const text = reportText(crash, { colour: false, width: undefined });
    const order = [
      "Read: 21 records of journal (journalctl); 3 known peers.",
      "Note: no exporter has kept samples.",
      "1  sshd crashed, restarted or is down: FOUND",
      "sshd crashed: at work, since ",
      "- Stops of sshd by a signal, a core dump or the watchdog in 5 minutes: 1 (evidence: 1 or more)",
      "systemd[1]: ssh.service: Main process exited, code=killed, status=9/KILL",
      "2  memory, CPU, processes and files: clear",
      "+  sshd's own limits and the network: clear",
      "Verdict: sshd crashed.",
      "Next:",
      "systemctl status ssh || systemctl status sshd",
      "Runbook: docs/runbooks/SshdCrashed.md",
      "Could not read:",
      "/dev/kmsg: permission denied; to see it: CAP_SYSLOG",
    ];
    let at = 0;
    for (const piece of order) {
      const found = text.indexOf(piece, at);
      expect(found, `${piece}\n\n${text}`).to.be.at.least(at);
      at = found;
    }
  });

  it("is plain without colour, and no wider than the terminal with it", () => {
    expect(reportText(crash, { colour: false, width: undefined })).not.to.include(escapeCode);
    const coloured = reportText(crash, { colour: true, width: 60 });
    expect(coloured).to.include(`${escapeCode}[31m`);
    const bare = coloured.replaceAll(new RegExp(`${escapeCode}\\[\\d+m`, "g"), "");
    // Commands stay on one line, to be copied.
    const long = bare.split("\n").filter((line) => line.length > 60 && !/^ {2}\S/.test(line));
    expect(long).to.deep.equal([]);
  });
});
