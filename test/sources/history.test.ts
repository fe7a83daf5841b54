import { execFileSync } from "node:child_process";
import { appendFileSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import type { LogRecord } from "../../src/model/record.ts";
import { acceptedHistory, type HistoryOptions } from "../../src/sources/history.ts";
import { debianOr } from "../../tools/debian.ts";
import { entry, sshdFields, timeOf, writeJournal } from "./journal-files.ts";
import { folders, rotate } from "./reading.ts";

describe("the history of accepted logins", () => {
  const temporary = folders();
  const base = { idents: ["sshd", "sshd-session"], sinceMs: 0, logfiles: [] };

  async function read(options: Partial<HistoryOptions>): Promise<{ messages: string[]; warnings: string[] }> {
    const warnings: string[] = [];
    const records: LogRecord[] = [];
    const history = acceptedHistory({
      ...base,
      signal: new AbortController().signal,
      onWarning: (message) => warnings.push(message),
      ...options,
    });
    for await (const batch of history) records.push(...batch);
    return { messages: records.map(({ message }) => message), warnings };
  }

  it("comes from a log file and its rotated siblings, compressed ones too, oldest first", async () => {
    const path = `${temporary.make()}/auth.log`;
    const login = (day: number) =>
      `2026-11-${day}T10:00:00Z h sshd[1]: Accepted password for u from 192.0.2.${day} port 1 ssh2\n2026-11-${day}T10:00:00Z h sshd[1]: Connection closed by 192.0.2.1 port 1\n`;
    writeFileSync(path, login(10) + login(20));
    rotate(path);
    appendFileSync(path, login(21));
    rotate(path);
    appendFileSync(path, login(22).slice(0, -1));
    execFileSync("gzip", [`${path}.2`]);
    const sinceMs = Date.UTC(2026, 10, 15);
    const { messages, warnings } = await read({ logfiles: [path, `${path}.none`], sinceMs });
    expect(messages).to.deep.equal([20, 21, 22].map((n) => `Accepted password for u from 192.0.2.${n} port 1 ssh2`));
    expect(warnings).to.have.length(1);
    expect(warnings[0]).to.contain("ENOENT");
  });

  it("comes from the journal", async function () {
    const remote = await debianOr(this, "systemd-journal-remote");
    const file = `${temporary.make()}/fix.journal`;
    const said = ["Accepted password for a", "Failed password for Accepted ", "Accepted publickey for b"];
    writeJournal(remote, file, Buffer.concat(said.map((MESSAGE, n) => entry(n, { ...sshdFields, MESSAGE }))));
    expect((await read({ journal: { file } })).messages).to.deep.equal([said[0], said[2]]);
    expect((await read({ journal: { file }, sinceMs: timeOf(1) })).messages).to.deep.equal([said[2]]);
  });

  it("ends when its time is over, and says so", async () => {
    const folder = temporary.make();
    writeFileSync(`${folder}/journalctl`, "#!/bin/sh\nexec sleep 60\n", { mode: 0o755 });
    const { messages, warnings } = await read({ journal: { command: `${folder}/journalctl` }, timeLimitMs: 50 });
    expect(messages).to.deep.equal([]);
    expect(warnings).to.deep.equal(["history was not read to its end: it took too long"]);
  });
});
