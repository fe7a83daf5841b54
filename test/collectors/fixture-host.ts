/** Roots for collectors: a folder of test/fixtures/hosts, or a temporary one with the files that a test names. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { CollectorContext, HostPaths } from "../../src/model/collector.ts";
import type { Sample } from "../../src/model/metric.ts";

const made: string[] = [];
after(function () {
  this.timeout(60_000);
  for (const root of made) rmSync(root, { recursive: true, force: true });
});

export const healthyHost = join(import.meta.dirname, "../fixtures/hosts/healthy");

export function pathsBelow(root: string): HostPaths {
  return {
    procfs: join(root, "proc"),
    sysfs: join(root, "sys"),
    rootfs: root,
    tracefs: join(root, "sys/kernel/tracing"),
  };
}

export const thisHost: HostPaths = { procfs: "/proc", sysfs: "/sys", rootfs: "/", tracefs: "/sys/kernel/tracing" };

/** A temporary folder, removed after the file's tests. */
export function temporaryFolder(): string {
  const root = mkdtempSync(join(tmpdir(), "collectors-"));
  made.push(root);
  return root;
}

/** A root with these files: `{"proc/loadavg": "0.00 ..."}`. */
export function hostWith(files: Readonly<Record<string, string>>): string {
  const root = temporaryFolder();
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

export function contextOf(paths: HostPaths, more: Partial<CollectorContext> = {}): CollectorContext {
  return { paths, nowMs: Date.now, sshdPorts: () => [22], onWarning: () => undefined, ...more };
}

/** `name{label="value"}` to value, without the prefix. */
export function table(samples: readonly Sample[]): Record<string, unknown> {
  return Object.fromEntries(
    samples.map(({ name, labels, value }) => {
      const pairs = Object.entries(labels ?? {}).map(([key, label]) => `${key}="${label}"`);
      return [name.replace("sshreset_", "") + (pairs.length === 0 ? "" : `{${pairs.join(",")}}`), value];
    }),
  );
}

/** The first defined answer, within a deadline. */
export async function until<T>(what: string, ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 8_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`not within 8 s: ${what}`);
    await delay(10);
  }
}

/** A folder with one executable script, to put in front of PATH. */
export function fakeProgram(name: string, script: string): string {
  const root = temporaryFolder();
  writeFileSync(join(root, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return root;
}

/** PATH for the time of the work: `folder` in front, or alone. */
export async function withPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  const before = process.env["PATH"];
  process.env["PATH"] = path;
  try {
    return await work();
  } finally {
    process.env["PATH"] = before;
  }
}
