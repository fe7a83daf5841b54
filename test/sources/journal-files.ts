/** Journal files for tests, made by a real systemd-journal-remote from texts in export format. */
import { execFileSync } from "node:child_process";
import type { Tool } from "../../tools/debian.ts";

export type Fields = Readonly<Record<string, string>>;

export function binaryField(name: string, value: Buffer): Buffer {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, value, Buffer.from("\n")]);
}

export function exported(fields: Fields): Buffer {
  const parts = Object.entries(fields).map(([name, value]) =>
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what journald calls binary
    /[\0-\x08\n-\x1f\x7f]/.test(value) ? binaryField(name, Buffer.from(value)) : Buffer.from(`${name}=${value}\n`),
  );
  return Buffer.concat([...parts, Buffer.from("\n")]);
}

const bootId = "12c43316b5a14ce7ad08dcb604ef0e05";
const firstMs = Date.UTC(2026, 10, 22, 13, 28, 59);

/** The n-th entry's time and place: one per second. */
export function timeOf(n: number): number {
  return firstMs + n * 1000;
}

export function entry(n: number, fields: Fields): Buffer {
  return exported({
    __REALTIME_TIMESTAMP: String(timeOf(n) * 1000),
    __MONOTONIC_TIMESTAMP: String(n * 1_000_000 + 1),
    _BOOT_ID: bootId,
    ...fields,
  });
}

export const sshdFields = { _TRANSPORT: "syslog", SYSLOG_IDENTIFIER: "sshd", _COMM: "sshd", _PID: "268", _UID: "0" };

export function sshdEntries(from: number, to: number): Buffer {
  const numbers = Array.from({ length: to - from }, (_, n) => from + n);
  return Buffer.concat(numbers.map((n) => entry(n, { ...sshdFields, MESSAGE: `line ${n}` })));
}

/** Adds to `file`, or makes it. */
export function writeJournal(remote: Tool, file: string, entries: Buffer): void {
  execFileSync(remote.path, ["-o", file, "-"], { input: entries, env: remote.env, stdio: ["pipe", "ignore", "pipe"] });
}
