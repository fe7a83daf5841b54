/** Step 5: a balancer puts the PROXY protocol's header in front of SSH; sshd does not speak it and ends the connection. */
import type { Cause } from "../cause.ts";
import { increase, series } from "../condition.ts";
import { journalOrFiles } from "../observable.ts";

export const proxyProtocol: Cause = {
  id: "proxy_protocol",
  alert: "SshResetProxyProtocol",
  step: 5,
  title: "a proxy sends PROXY headers to sshd",
  summary: "A proxy or load balancer sends the PROXY protocol's header to sshd, which ends each such connection.",
  explanation:
    "With the PROXY protocol a balancer tells the client's address in a line before the client's own bytes. sshd does not understand it: it answers `Invalid SSH identification string.` and the client reads a reset. Every login through that balancer fails.",
  severity: "critical",
  evidence: increase(
    series("proxy_headers_refused_total", { peer_class: ["known", "proxy", "health_check"] }),
    10,
    ">=",
    "headers",
  ),
  thresholds: {
    headers: {
      value: 3,
      unit: "connections of known peers, proxies or health checks in 10 minutes that began with a PROXY header",
      reason: "No SSH client sends one; scanners that do are not known here.",
    },
  },
  forSeconds: 0,
  keepSeconds: 300,
  explains: [{ phases: ["connect", "banner"], outcomes: ["reset", "error", "closed"] }],
  inhibits: [],
  ...journalOrFiles,
  next: [
    {
      run: "journalctl -u ssh -u sshd --since -1h | grep 'invalid protocol identifier'",
      shows:
        '`"PROXY TCP4 ..."` is version 1, `""` all that shows of version 2. Since OpenSSH 9.5 only at LogLevel VERBOSE.',
    },
    {
      run: "grep -nE 'send-proxy|proxy_protocol' /etc/haproxy/haproxy.cfg /etc/nginx -r",
      shows: "On the balancer: `send-proxy`, `send-proxy-v2`, `proxy_protocol on`: to be removed for sshd's backend.",
    },
    {
      run: "aws elbv2 describe-target-group-attributes --target-group-arn ARN",
      shows: "`proxy_protocol_v2.enabled` of the target group that leads to sshd: must be false.",
    },
  ],
  references: ["haproxy doc/proxy-protocol.txt", "docs/proxies.md"],
};
