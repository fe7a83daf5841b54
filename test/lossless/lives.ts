/**
 * One log over many lives of the exporter: killed with -9 at random moments, or with a state directory that has no room
 * left. What is counted at the end is held against what was written.
 */
import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, rmSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { ExporterProcess } from "../cli/exporter-process.ts";
import { counted, Log, settled, startFollowing } from "./following.ts";

export interface Life {
  readonly written: number;
  readonly counted: number;
  readonly lost: number;
  /** Scrapes that showed less than one before. */
  readonly stepsBack: number;
}

class Scene {
  readonly folder = mkdtempSync(join(tmpdir(), "lives-"));
  readonly log = new Log(join(this.folder, "auth.log"));
  #exporter: ExporterProcess | undefined;
  #shown = 0;
  #stepsBack = 0;

  async start(): Promise<ExporterProcess> {
    this.#exporter = await startFollowing(this.folder, this.log.path);
    return this.#exporter;
  }

  async scrape(exporter: ExporterProcess): Promise<ReadonlyMap<string, number>> {
    const values = await exporter.values();
    if (counted(values) < this.#shown) this.#stepsBack++;
    this.#shown = counted(values);
    return values;
  }

  async end(exporter: ExporterProcess): Promise<Life> {
    const values = await settled(exporter);
    await this.scrape(exporter);
    const lost = values.get('sshreset_source_lost_records_total{source="logfile"}') ?? Number.NaN;
    return { written: this.log.written, counted: counted(values), lost, stepsBack: this.#stepsBack };
  }

  async close(): Promise<void> {
    await this.#exporter?.stop("SIGKILL");
    this.log.close();
    rmSync(this.folder, { recursive: true });
  }
}

/** Rotated in every third life, once while nobody reads. */
export async function killedAgainAndAgain(lives: number, random: () => number): Promise<Life> {
  const scene = new Scene();
  try {
    for (let life = 0; life < lives; life++) {
      const exporter = await scene.start();
      const diesMs = Date.now() + random() * 1_200;
      while (Date.now() < diesMs) {
        scene.log.write(500);
        await scene.scrape(exporter);
        await delay(random() * 30);
      }
      if (life % 3 === 1) closeSync(scene.log.rename());
      await exporter.stop("SIGKILL");
      scene.log.write(200);
      if (life % 3 === 2) closeSync(scene.log.rename());
    }
    return await scene.end(await scene.start());
  } finally {
    await scene.close();
  }
}

/** Needs root, for a small file system of its own. The disk fills, the exporter is killed, and there is room again. */
export async function diskFull(): Promise<Life & { readonly commitErrors: number }> {
  const scene = new Scene();
  const state = join(scene.folder, "state");
  mkdirSync(state);
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", state]);
  try {
    let exporter = await scene.start();
    scene.log.write(1_000);
    await settled(exporter);
    const { bavail, bsize } = statfsSync(state);
    const ballast = join(state, "ballast");
    writeFileSync(ballast, Buffer.alloc(bavail * bsize));
    scene.log.write(1_000);
    const values = await exporter.until(
      "a commit that fails",
      (now) => now.get("sshreset_state_commit_success") === 0 && counted(now) === scene.log.written,
    );
    await exporter.stop("SIGKILL");
    truncateSync(ballast);
    exporter = await scene.start();
    const commitErrors = values.get('sshreset_state_commits_total{result="error"}') ?? 0;
    return { ...(await scene.end(exporter)), commitErrors };
  } finally {
    execFileSync("umount", ["-l", state]);
    await scene.close();
  }
}
