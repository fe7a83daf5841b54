/** Step 3: hosts.allow and hosts.deny refuse known peers. */
import type { Cause } from "../cause.ts";
import { increase, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";
import { atTheDoor } from "../scope.ts";

export const tcpWrappers: Cause = {
  id: "tcp_wrappers",
  alert: "SshResetTcpWrappers",
  step: 3,
  title: "TCP wrappers refuse",
  summary: "TCP wrappers (hosts.deny) refuse peers that have logged in here before.",
  explanation:
    "sshd logs `refused connect from` and closes at once: the client reads `kex_exchange_identification: read: Connection reset by peer`. Only an sshd that is linked with libwrap can do this; Debian's and Ubuntu's are, most others are not.",
  severity: "critical",
  evidence: increase(
    series("connections_ended_total", { outcome: ["refused"], peer_class: ["known"] }),
    10,
    ">=",
    "refused",
  ),
  thresholds: {
    refused: {
      value: 1,
      unit: "connections of known peers refused in 10 minutes",
      reason:
        "A peer that has logged in is refused only after a change of the rules. Scanners that are refused are what the rules are for.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: atTheDoor,
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "grep -vE '^ *(#|$)' /etc/hosts.allow /etc/hosts.deny",
      shows: "The rules; hosts.allow is read first, the first match wins.",
    },
    { run: "tcpdmatch sshd ADDRESS", shows: "Which rule decides for this peer (package tcpd on Debian)." },
    { run: "ldd $(command -v sshd) | grep libwrap", shows: "Nothing: this sshd has no TCP wrappers, look elsewhere." },
    { run: "journalctl -u ssh -u sshd --since -1h | grep 'refused connect'", shows: "Who was refused." },
  ],
  references: ["hosts_access(5)", "tcpdmatch(8)"],
};
