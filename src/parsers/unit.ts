/** Which systemd unit a text is about, and whose it is: the daemon's, one connection's, one login's. */
import type { UnitRole } from "../model/event.ts";

/** By unit name; `other` for everything that is not sshd's. */
export function unitRole(unit: string): UnitRole {
  if (unit === "ssh.service" || unit === "sshd.service") return "daemon";
  if (unit === "ssh.socket" || unit === "sshd.socket" || unit === "sshd-unix-local.socket") return "socket";
  if (/^sshd?@.{0,256}\.service$/.test(unit)) return "connection";
  return /^session-[A-Za-z0-9]{1,20}\.scope$/.test(unit) ? "session" : "other";
}

/** By the Description= of the units that distributions ship; `StatusUnitFormat=description`, the default before v250. */
const descriptions: Readonly<Record<string, UnitRole>> = {
  "OpenBSD Secure Shell server": "daemon",
  "OpenSSH server daemon": "daemon",
  "OpenSSH Daemon": "daemon",
  "OpenBSD Secure Shell server socket": "socket",
  "OpenSSH Server Socket": "socket",
  "OpenBSD Secure Shell server per-connection daemon": "connection",
  "OpenSSH per-connection server daemon": "connection",
};

/** Of `ssh.service - OpenBSD Secure Shell server`, `ssh.service` or `OpenBSD Secure Shell server`. */
export function describedRole(description: string): UnitRole {
  const space = description.indexOf(" ");
  const name = space === -1 ? description : description.slice(0, space);
  const role = unitRole(name);
  if (role !== "other" && (space === -1 || description.startsWith(" - ", space))) return role;
  const instance = description.indexOf(" (");
  const bare = instance === -1 ? description : description.slice(0, instance);
  return Object.hasOwn(descriptions, bare) ? (descriptions[bare] ?? "other") : "other";
}

/**
 * Whether a control group belongs to sshd's own unit or to one connection's: below system.slice, wherever a container
 * puts that, and not a user's unit of the same name.
 */
export function isSshdCgroup(path: string): boolean {
  if (path.includes("/user.slice/") || path.includes("/user@")) return false;
  return /\/system\.slice\/(?:system-sshd?\.slice\/)?(?:sshd?|sshd?@[^/]*)\.service(?:\/|$)/.test(path);
}

/** Whether a control group is that of a login, as systemd-logind makes it; what a user makes below it is not. */
export function isSessionCgroup(path: string): boolean {
  return /\/user\.slice\/user-\d{1,10}\.slice\/session-[A-Za-z0-9]{1,20}\.scope$/.test(path);
}
