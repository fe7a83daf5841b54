import { expect } from "chai";
import {
  identsOfKinds,
  SourceConflict,
  type SourceOffer,
  type SourceWish,
  selectSources,
} from "../../src/sources/select.ts";

const nothing: SourceWish = { logfiles: [], journal: undefined, kmsg: undefined };
const files = { sshd: "/var/log/auth.log", systemd: "/var/log/syslog", kernel: "/var/log/kern.log" };
const noFiles = { sshd: undefined, systemd: undefined, kernel: undefined };
const everything: SourceOffer = { journal: {}, kmsg: true, logfiles: files };

describe("which source reads what", () => {
  const cases: readonly (readonly [string, Partial<SourceWish>, Partial<SourceOffer>, object])[] = [
    [
      "journal and kmsg where both are",
      {},
      {},
      { kmsg: { kinds: ["kernel"] }, journal: { kinds: ["sshd", "systemd"] }, unread: [] },
    ],
    [
      "the journal for all without kmsg",
      {},
      { kmsg: false },
      { journal: { kinds: ["sshd", "systemd", "kernel"] }, unread: [] },
    ],
    [
      "the journal for all if kmsg is not wished",
      { kmsg: false },
      {},
      { journal: { kinds: ["sshd", "systemd", "kernel"] }, unread: [] },
    ],
    [
      "kmsg if it is wished, though it cannot be opened: its status says why",
      { kmsg: true },
      { kmsg: false },
      { kmsg: { kinds: ["kernel"] }, journal: { kinds: ["sshd", "systemd"] }, unread: [] },
    ],
    [
      "files without a journal",
      {},
      { journal: undefined, kmsg: false },
      {
        logfile: [
          { path: "/var/log/auth.log", kinds: ["sshd"] },
          { path: "/var/log/syslog", kinds: ["systemd"] },
          { path: "/var/log/kern.log", kinds: ["kernel"] },
        ],
        unread: [],
      },
    ],
    [
      "one file for all kinds",
      { journal: false },
      { kmsg: false, logfiles: { sshd: "/m", systemd: "/m", kernel: "/m" } },
      { logfile: [{ path: "/m", kinds: ["sshd", "systemd", "kernel"] }], unread: [] },
    ],
    [
      "named files instead of the journal",
      { logfiles: ["/a", "/b", "/a"] },
      {},
      {
        kmsg: { kinds: ["kernel"] },
        logfile: [
          { path: "/a", kinds: ["sshd", "systemd"] },
          { path: "/b", kinds: ["sshd", "systemd"] },
        ],
        unread: [],
      },
    ],
    [
      "a journal file or directory where one is named",
      { journalFile: "/fix.journal", kmsg: false },
      { journal: undefined },
      { journal: { kinds: ["sshd", "systemd", "kernel"], file: "/fix.journal" }, unread: [] },
    ],
    [
      "the journal that the host offers below another root",
      { kmsg: false },
      { journal: { directory: "/host/var/log/journal" } },
      { journal: { kinds: ["sshd", "systemd", "kernel"], directory: "/host/var/log/journal" }, unread: [] },
    ],
    [
      "nothing, with reasons",
      {},
      { journal: undefined, logfiles: noFiles },
      {
        kmsg: { kinds: ["kernel"] },
        unread: [
          { kind: "sshd", reason: "no journal is read and no log file of sshd was found" },
          { kind: "systemd", reason: "no journal is read and no log file of systemd was found" },
        ],
      },
    ],
  ];
  for (const [name, wish, offer, expected] of cases) {
    it(name, () => {
      expect(selectSources({ ...nothing, ...wish }, { ...everything, ...offer })).to.deep.equal(expected);
    });
  }

  it("refuses two sources for the same records, and names both", () => {
    const refused = (wish: Partial<SourceWish>) => () => selectSources({ ...nothing, ...wish }, everything);
    const twice = "would both read sshd's and systemd's records, and count them twice: give one of them";
    expect(refused({ journal: true, logfiles: ["/var/log/auth.log"] })).to.throw(
      SourceConflict,
      `--source.journal and --source.logfile=/var/log/auth.log ${twice}`,
    );
    expect(refused({ journalDirectory: "/j", logfiles: ["/a"] })).to.throw(
      SourceConflict,
      `--source.journal.directory=/j and --source.logfile=/a ${twice}`,
    );
    expect(refused({ journal: false, journalFile: "/j" })).to.throw(
      SourceConflict,
      "--no-source.journal and --source.journal.file=/j exclude each other",
    );
  });

  it("gives each identifier to one kind", () => {
    const idents = ["sshd", "sshd-session", "systemd", "systemd-oomd", "kernel", "rsyslogd"];
    expect(identsOfKinds(idents, ["sshd"])).to.deep.equal(["sshd", "sshd-session", "rsyslogd"]);
    expect(identsOfKinds(idents, ["systemd"])).to.deep.equal(["systemd", "systemd-oomd"]);
    expect(identsOfKinds(idents, ["kernel"])).to.deep.equal(["kernel"]);
  });
});
