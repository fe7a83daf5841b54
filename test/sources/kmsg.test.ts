import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, constants, openSync, readFileSync, writeSync } from "node:fs";
import { expect } from "chai";
import { createKmsgSource, type KmsgDevice, parseKmsg } from "../../src/sources/kmsg.ts";
import { skip } from "../../tools/skip.ts";
import { folders, pollMs, Reading, start } from "./reading.ts";

/** Gives a scripted sequence of records and errors, then EAGAIN: what the kernel does, one by one. */
class ScriptedKmsg implements KmsgDevice {
  readonly #script: string[];
  constructor(...script: string[]) {
    this.#script = script;
  }
  read(into: Buffer): number {
    const next = this.#script.shift() ?? "EAGAIN";
    if (/^E[A-Z]+$/.test(next)) throw Object.assign(new Error(next), { code: next });
    return into.write(next, "latin1");
  }
  close(): void {}
}

const clock = { nowMs: () => 1_000_000, monotonicMs: () => 10_000, bootId: () => "this-boot" };

describe("a record of /dev/kmsg", () => {
  it("is taken apart", () => {
    expect(
      parseKmsg(Buffer.from("6,339,5140900,-;text; with \\x0a\\x5c\\xc3\\xa9\n SUBSYSTEM=net\n DEVICE=n2\n")),
    ).to.deep.equal({
      facility: 0,
      sequence: 339,
      timeUs: 5140900,
      continues: false,
      caller: undefined,
      text: "text; with \n\\é",
    });
    expect(parseKmsg(Buffer.from("30,1,2,c,caller=T123,new=1;x"))).to.include({
      facility: 3,
      continues: true,
      caller: "T123",
    });
  });

  it("is nothing if it has no such head", () => {
    for (const text of ["", ";", "6,1;x", "x,1,2,-;x", "6,1,2,- x"])
      expect(parseKmsg(Buffer.from(text))).to.equal(undefined);
  });
});

describe("kmsg", () => {
  folders();

  async function read(device: KmsgDevice, overrides = {}): Promise<Reading> {
    const reading = new Reading(createKmsgSource({ ...start(), ...clock, pollMs, open: () => device, ...overrides }));
    await reading.until(({ position }) => position !== undefined);
    await reading.settled(pollMs);
    return reading;
  }

  it("gives the kernel's records and nobody else's, with wall-clock times", async () => {
    const reading = await read(
      new ScriptedKmsg("6,0,4000000,-;one\n", "12,1,4000000,-;forged\n", "3,2,9500000,-;two\n"),
    );
    expect(reading.records).to.deep.equal([
      { source: "kmsg", timeMs: 994_000, ident: "kernel", pid: 0, message: "one", count: 1 },
      { source: "kmsg", timeMs: 999_500, ident: "kernel", pid: 0, message: "two", count: 1 },
    ]);
    expect(await reading.stop()).to.deep.equal({ bootId: "this-boot", next: 3 });
  });

  it("counts what was overwritten: the gap in the numbers after EPIPE", async () => {
    const reading = await read(new ScriptedKmsg("6,5,1,-;a\n", "EPIPE", "6,12,1,-;b\n", "broken", "6,13,1,-;c\n"));
    expect(reading.messages).to.deep.equal(["a", "b", "c"]);
    expect(reading.lost).to.equal(6 + 1);
    await reading.stop();
  });

  it("puts fragments together that other callers' records came between", async () => {
    const device = new ScriptedKmsg(
      "6,0,1,-,caller=T1;oom-kill:constraint=",
      "6,1,1,-,caller=C0;link up\n",
      "6,2,1,c,caller=T1;CONSTRAINT_NONE\n",
    );
    const reading = await read(device);
    expect(reading.messages).to.deep.equal(["oom-kill:constraint=CONSTRAINT_NONE", "link up"]);
    await reading.stop();
  });

  it("goes on after its position in the same boot, and from the start in another one", async () => {
    const script = ["6,7,1,-;a\n", "6,8,1,-;b\n", "6,9,1,-;c\n"];
    const same = await read(new ScriptedKmsg(...script), { position: { bootId: "this-boot", next: 8 } });
    expect([same.messages, same.lost]).to.deep.equal([["b", "c"], 0]);
    const late = await read(new ScriptedKmsg(...script), { position: { bootId: "this-boot", next: 3 } });
    expect([late.messages, late.lost]).to.deep.equal([["a", "b", "c"], 4]);
    const other = await read(new ScriptedKmsg(...script), { position: { bootId: "another", next: 1000 } });
    expect([other.messages, other.lost]).to.deep.equal([["a", "b", "c"], 7]);
  });

  it("passes over what is there at the first start", async () => {
    const open = () => new ScriptedKmsg("6,7,1,-;a\n", "EAGAIN", "6,8,1,-;b\n");
    const reading = new Reading(createKmsgSource({ ...start({ fromBeginning: false }), ...clock, pollMs, open }));
    await reading.count(1);
    expect(reading.messages).to.deep.equal(["b"]);
    await reading.stop();
  });

  it("that may not be opened says what would grant it", async () => {
    const options = start();
    const open = () => {
      throw Object.assign(new Error("operation not permitted"), { code: "EPERM" });
    };
    const source = createKmsgSource({ ...options, ...clock, open });
    const reading = new Reading(source);
    await reading.until(() => options.warnings.length > 0);
    expect(source.status()).to.deep.equal({
      up: false,
      reason: "cannot read /dev/kmsg: permission denied",
      grant: "CAP_SYSLOG, or sysctl kernel.dmesg_restrict=0",
    });
    await reading.stop();
  });

  it("that is missing says so", async () => {
    const source = createKmsgSource({ ...start(), path: "/nonexistent/kmsg" });
    const reading = new Reading(source);
    await reading.until(() => source.status().reason === "/nonexistent/kmsg does not exist");
    await reading.stop();
  });
});

describe("this machine's /dev/kmsg", () => {
  folders();

  it("gives genuine kernel lines as dmesg shows them, and none that a program wrote", async function () {
    let fd: number;
    try {
      fd = openSync("/dev/kmsg", constants.O_RDWR | constants.O_NONBLOCK);
    } catch (error) {
      return skip(this, `cannot open /dev/kmsg: ${(error as Error).message}`);
    }
    const marker = `ssh-reset-exporter test ${process.pid}-${Date.now()}`;
    writeSync(fd, `<2>${marker}: Out of memory: Killed process 1 (sshd)\n`);
    closeSync(fd);
    // The ring may be full of others' lines: so that the kernel has said something, too (debug.exception-trace).
    spawnSync("python3", ["-c", "import ctypes; ctypes.string_at(0)"]);
    const reading = new Reading(createKmsgSource({ ...start(), pollMs }));
    await reading.until(({ position }) => position?.["next"] !== undefined);
    await reading.until(({ records }) => records.some(({ message }) => message.includes("python3[")));
    const dmesg = execFileSync("dmesg", ["--facility=kern", "--time-format=iso"]).toString("latin1").split("\n");
    expect(reading.messages.some((message) => message.includes(marker))).to.equal(false);
    const last = reading.messages.at(-1) ?? "nothing";
    expect(dmesg.some((text) => text.includes(last.slice(0, 60)))).to.equal(true);
    expect(execFileSync("dmesg").toString("latin1")).to.include(marker);
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();
    expect((await reading.stop())?.["bootId"]).to.equal(bootId);
  });
});
