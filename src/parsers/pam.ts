/**
 * PAM modules speaking from inside sshd: sessions opened and closed. Gives sshd.session_opened, sshd.session_closed.
 * Text: Linux-PAM pam_unix_sess.c, `pam_unix(SERVICE:TYPE): `; the process is sshd's monitor, as with `Accepted`.
 */
import { noted, says, sshdSays } from "./wording.ts";

export const pam = [
  sshdSays({
    id: "pam-session-opened",
    versions: "Linux-PAM 0.99+",
    origin: "pam_unix_sess.c pam_sm_open_session",
    starts: ["pam_unix(sshd:session): session opened for user "],
    read: ({ rest }) => (/ by \S*\(uid=\d{1,10}\)$/.test(rest) ? { kind: "sshd.session_opened" } : undefined),
  }),
  sshdSays({
    id: "pam-session-closed",
    versions: "Linux-PAM 0.99+",
    origin: "pam_unix_sess.c pam_sm_close_session",
    starts: ["pam_unix(sshd:session): session closed for user "],
    read: () => ({ kind: "sshd.session_closed" }),
  }),
  sshdSays({
    id: "pam-other",
    versions: "all",
    origin: "other PAM modules and stages; a failed attempt is told by sshd's own `Failed`",
    starts: ["pam_", "PAM ", "PAM: "],
    read: ({ record }) =>
      /pam_unix\(sshd:session\): session (?:opened|closed) for user /.test(record.message.slice(0, 64))
        ? undefined
        : noted,
  }),
];

/** RHEL 4 and its time: `sshd(pam_unix)[PID]: TEXT`. */
export const pamOld = [
  says({
    id: "pam-old-session-opened",
    versions: "Linux-PAM <=0.77",
    origin: "pam_unix_sess.c pam_sm_open_session",
    starts: ["session opened for user "],
    read: ({ rest }) => (/ by \S*\(uid=\d{1,10}\)$/.test(rest) ? { kind: "sshd.session_opened" } : undefined),
  }),
  says({
    id: "pam-old-session-closed",
    versions: "Linux-PAM <=0.77",
    origin: "pam_unix_sess.c pam_sm_close_session",
    starts: ["session closed for user "],
    read: () => ({ kind: "sshd.session_closed" }),
  }),
  says({
    id: "pam-old-other",
    versions: "Linux-PAM <=0.77",
    origin: "pam_unix_auth.c",
    starts: ["authentication failure; ", "check pass; "],
    read: () => noted,
  }),
];
