/**
 * sshd's programs by process name (`comm`, at most 15 bytes). Any process may call itself so (prctl PR_SET_NAME): in the
 * kernel's lines the name is all there is.
 */

export function isSshdProgram(name: string): boolean {
  return name === "sshd" || name === "sshd-session" || name === "sshd-auth";
}

/** Up to 9.7 every process is `sshd`, since then sessions have names of their own. */
export function sshdProcess(name: string): "sshd" | "sshd_session" {
  return name === "sshd" ? "sshd" : "sshd_session";
}
