/** Something that listens as sshd does: on a host without one the exporter looks for it at each scrape. */
import { type ChildProcess, spawn } from "node:child_process";
import { rmSync, symlinkSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { waitFor } from "../test/cli/exporter-process.ts";

/** A process of sshd's name on a free port. */
export async function standInForSshd(folder: string): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const port = await freePort();
  const path = join(folder, "sshd");
  rmSync(path, { force: true });
  symlinkSync(process.execPath, path);
  const child = spawn(path, ["-e", `require("net").createServer().listen(${port})`], { stdio: "ignore" });
  await waitFor("the stand-in for sshd", 10_000, async () => {
    const answer = await fetch(`http://127.0.0.1:${port}`, { signal: AbortSignal.timeout(200) }).catch(
      (error: unknown) => error,
    );
    return String((answer as Error).cause ?? answer).includes("ECONNREFUSED") ? undefined : true;
  });
  return { child, port };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
