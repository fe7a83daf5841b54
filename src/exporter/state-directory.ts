/** Where state is kept when the user names no place: what systemd made, the system's place for root, else the user's. */
import { homedir } from "node:os";
import { join } from "node:path";

export interface StateDirectory {
  readonly path: string;
  /** A place that we chose ourselves is made when missing; one that the user named must exist. */
  readonly create: boolean;
}

export function stateDirectory(
  named: string | undefined,
  environment: Readonly<Record<string, string | undefined>> = process.env,
  isRoot = process.getuid?.() === 0,
): StateDirectory {
  if (named !== undefined) return { path: named, create: false };
  // systemd.exec(5): several are separated by colons; the first is ours.
  const fromSystemd = environment["STATE_DIRECTORY"]?.split(":")[0];
  if (fromSystemd) return { path: fromSystemd, create: false };
  if (isRoot) return { path: "/var/lib/ssh-reset-exporter", create: true };
  const home = environment["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  return { path: join(home, "ssh-reset-exporter"), create: true };
}
