/**
 * This machine as a node, in a test: its processes, network and kernel; programs and configuration of Debian 12; a
 * journal with recorded faults that only the group adm may read, as systemd's access control lists leave it.
 */
import { execFile } from "node:child_process";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Tool } from "../../tools/debian.ts";
import type { Node } from "./pod.ts";

const machine = "ffad94139a794ef99093e805b4f0b0cb";

export interface MachineOptions {
  readonly folder: string;
  readonly image: Node["image"];
  /** Debian's root filesystem. */
  readonly root: string;
  /** systemd-journal-remote. */
  readonly journalRemote: Tool;
  readonly config: string;
}

export async function machineAsNode({ folder, image, root, journalRemote, config }: MachineOptions): Promise<Node> {
  const at = (path: string): string => join(folder, path);
  for (const path of [`var/log/journal/${machine}`, "run/log", "state"]) await mkdir(at(path), { recursive: true });
  const journal = at(`var/log/journal/${machine}/system.journal`);
  const { path, env } = journalRemote;
  await promisify(execFile)(path, ["-o", journal, "test/fixtures/journal/incidents.export"], { env });
  await chown(journal, 0, 4);
  await chmod(journal, 0o640);
  await writeFile(at("config.yaml"), config);
  const places = new Map([
    ["/var/log", at("var/log")],
    ["/run/log", at("run/log")],
    ["/etc", join(root, "etc")],
    ["/usr", join(root, "usr")],
    ["/var/lib/ssh-reset-exporter", at("state")],
    ["volume:config", at("config.yaml")],
  ]);
  return { image, address: "127.0.0.1", folder: at("pod"), at: (hostPath) => places.get(hostPath) ?? hostPath };
}
