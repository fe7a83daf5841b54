/** Sets of ends that several causes can produce. */
import { outcomes, phases } from "../model/connection.ts";
import type { Scope } from "./cause.ts";

/** Whatever the phase and the outcome. */
export const everyEnd: readonly Scope[] = [{ phases, outcomes }];

/** Turned away at the door: before any key exchange. */
export const atTheDoor: readonly Scope[] = [
  { phases: ["connect", "banner"], outcomes: ["reset", "closed", "dropped", "refused", "error", "disconnect"] },
];

/** Too slow to log in: sshd's own limits of time cut the connection before authentication is complete. */
export const beforeLogin: readonly Scope[] = [
  { phases: ["connect", "banner", "kex", "auth"], outcomes: ["reset", "closed", "timeout"] },
];

/** What damages connections that are being set up, and leaves those that stand to run into timeouts at worst. */
export const settingUp: readonly Scope[] = [
  { phases: ["connect", "banner", "kex", "auth"], outcomes },
  { phases: ["session"], outcomes: ["closed", "timeout", "error"] },
];
