/** Permission missing at first, and lost later. Root may read everything, so the reader is a process of another user. */

import { spawn } from "node:child_process";
import { appendFileSync, chmodSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { skip } from "../../tools/skip.ts";
import { folders, lines, numbered } from "./reading.ts";

const reader = `
import { createLogfileSource } from ${JSON.stringify(fileURLToPath(import.meta.resolve("../../src/sources/logfile.ts")))};
const source = createLogfileSource({ position: undefined, fromBeginning: true, idents: ["sshd"], onWarning() {},
  paths: [process.argv[1]], pollMs: 25 });
let shown = "";
setInterval(() => {
  const { up, reason, grant } = source.status();
  const status = JSON.stringify({ up, reason, grant });
  if (status !== shown) console.log(shown = status);
}, 10);
for await (const { records } of source.batches(AbortSignal.timeout(8000)))
  for (const { message } of records) console.log(message);
process.exit();
`;

describe("a log file that may not be read", () => {
  const temporary = folders();

  it("says so with what would grant it, is read once it may be, and read on by the descriptor that is held", async function () {
    const folder = temporary.make();
    const path = `${folder}/auth.log`;
    chmodSync(folder, 0o755);
    writeFileSync(path, lines(0, 2), { mode: 0 });
    const root = process.getuid?.() === 0;
    const child = spawn(process.execPath, ["--import=tsx", "--input-type=module", "-e", reader, path], {
      stdio: ["ignore", "pipe", "pipe"],
      ...(root
        ? { uid: 65534, gid: 65534, env: { ...process.env, TSX_DISABLE_CACHE: "1", HOME: "/nonexistent" } }
        : {}),
    });
    try {
      let complaints = "";
      child.stderr.on("data", (text: Buffer) => {
        complaints += text.toString();
      });
      const said: string[] = [];
      for await (const text of createInterface({ input: child.stdout })) {
        said.push(text);
        if (text === "line 1") {
          chmodSync(path, 0);
          appendFileSync(path, lines(2, 4));
        } else if (text.includes("permission denied")) chmodSync(path, 0o644);
        else if (text === "line 3") break;
      }
      if (said.length === 0) skip(this, `another user cannot run the reader: ${complaints.split("\n")[0]}`);
      expect(said.filter((text) => text.startsWith("line"))).to.deep.equal(numbered(0, 4));
      const denied = said.find((text) => text.includes("denied"));
      expect(JSON.parse(denied ?? "{}")).to.deep.equal({
        up: false,
        reason: `cannot read ${path}: permission denied`,
        grant: `read access to ${path}, by membership in its group (often adm)`,
      });
    } finally {
      child.kill();
    }
  });
});
