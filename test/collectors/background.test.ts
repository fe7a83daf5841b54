import { readFileSync } from "node:fs";
import { expect } from "chai";
import { CommandMissing, Repeated, runCommand } from "../../src/collectors/background.ts";
import { fakeProgram, until, withPath } from "./fixture-host.ts";

const limits = { timeoutMs: 5_000, maxBytes: 1000 };

async function failure(work: Promise<unknown>): Promise<Error> {
  try {
    await work;
  } catch (error) {
    return error as Error;
  }
  throw new Error("it did not fail");
}

describe("runCommand", () => {
  it("gives the output, in the C locale", async () => {
    expect(await runCommand("/bin/sh", ["-c", "echo $LC_ALL"], limits)).to.equal("C\n");
  });

  it("says that a program is not there", async () => {
    const error = await failure(withPath("/nonexistent", () => runCommand("ss", [], limits)));
    expect(error).to.be.instanceOf(CommandMissing);
    expect(error.message).to.equal("ss: not found");
  });

  it("gives the program's own words when it fails", async () => {
    const error = await failure(runCommand("/bin/sh", ["-c", "echo 'Cannot open netlink socket' >&2; exit 2"], limits));
    expect(error.message).to.equal("/bin/sh: exit code 2: Cannot open netlink socket");
  });

  it("ends a program that hangs, and what it started", async () => {
    const folder = fakeProgram("ss", 'sleep 600 & echo "$!"; wait');
    let started = 0;
    const error = await failure(
      withPath(`${folder}:${process.env["PATH"]}`, () =>
        runCommand("ss", [], {
          ...limits,
          timeoutMs: 300,
          onOutput: (chunk) => {
            started = Number(chunk.toString());
          },
        }),
      ),
    );
    expect(error.message).to.equal("ss: no answer within 0.3 s, ended");
    expect(started).to.be.above(1);
    await until("the sleeping program's end", () => (isRunning(started) ? undefined : true));
  });

  it("ends a program that says too much", async () => {
    const error = await failure(runCommand("/bin/sh", ["-c", "while :; do echo aaaaaaaaaaaaaaaa; done"], limits));
    expect(error.message).to.equal("/bin/sh: more than 1000 bytes of output, ended");
  });

  it("ends with the exporter", async () => {
    const stop = new AbortController();
    const work = runCommand("/bin/sh", ["-c", "sleep 600"], { ...limits, signal: stop.signal });
    stop.abort();
    expect((await failure(work)).message).to.equal("/bin/sh: ended with the exporter");
  });
});

describe("Repeated", () => {
  it("drops the last good value when a try fails", async () => {
    let tries = 0;
    const work = new Repeated(
      1,
      () => 42,
      async () => {
        tries++;
        if (tries === 2) throw new Error("no answer");
        return tries;
      },
    );
    expect(work.result).to.deep.equal({ state: "pending" });
    await work.once();
    expect(work.result).to.deep.equal({ state: "ok", value: 1, timeMs: 42 });
    await work.once();
    expect(work.result.state).to.equal("failed");
  });

  it("goes on after a failure until the signal", async () => {
    let tries = 0;
    const stop = new AbortController();
    const work = new Repeated(1, Date.now, async () => {
      if (++tries < 3) throw new Error("not yet");
      stop.abort();
      return tries;
    });
    await work.run(stop.signal);
    expect(work.result).to.include({ state: "ok", value: 3 });
  });
});

/** A zombie has ended too: nobody may be there to wait for it. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "latin1"));
  } catch {
    return false;
  }
}
