/** Step 6: the cloud drops this instance's packets: it is beyond an allowance, or a rule of the cloud rejects known peers. */
import type { Cause } from "../cause.ts";
import { increase, or, series } from "../condition.ts";
import { cloudWitness } from "../observable.ts";
import { settingUp } from "../scope.ts";

const beyondAllowance = increase(
  series("cloud_allowance_exceeded_total", { allowance: ["conntrack", "pps", "linklocal"] }),
  5,
  ">=",
  "packets",
);

export const cloudLimit: Cause = {
  id: "cloud_limit",
  alert: "SshResetCloudLimit",
  step: 6,
  title: "the cloud drops or rejects",
  summary:
    "The cloud drops packets of this instance: an allowance of its network is exceeded, or its rules reject known peers.",
  explanation:
    "Instances have limits of tracked connections, packets per second and bandwidth. Beyond them packets are dropped or queued outside of the host, where no log of the host shows it; the driver counts them. Security groups, NACLs, NSGs and firewall rules reject before the host, too; only the cloud's flow logs show it.",
  severity: "critical",
  evidence: or(
    beyondAllowance,
    increase(series("cloud_flows_total", { action: ["reject"], peer_class: ["known"] }), 15, ">=", "rejected"),
  ),
  thresholds: {
    packets: {
      value: 5,
      unit: "packets dropped in 5 minutes beyond the instance's allowance",
      reason: "Short bursts beyond an allowance drop a few; TCP repairs those.",
    },
    rejected: {
      value: 3,
      unit: "flows of known peers rejected by the cloud, in 15 minutes of flow logs",
      reason: "One client that tries again makes one or two; flow logs come up to ten minutes late, several at once.",
    },
  },
  forSeconds: 60,
  keepSeconds: 300,
  explains: settingUp,
  // Who is rejected by a rule never comes as far as an end here.
  explainsWhen: beyondAllowance,
  inhibits: ["login_timeout"],
  ...cloudWitness,
  next: [
    { run: "ethtool -S IFACE | grep exceeded", shows: "`conntrack_allowance_exceeded` and the like (AWS ENA)." },
    {
      run: "ssh-reset-exporter diagnose --source.flow-log=FOLDER --since 1h",
      shows: "Whom the cloud rejected, by which rule; whom it admitted without anything arriving here.",
    },
    {
      run: "ssh-reset-exporter audit --peer ADDRESS FILE...",
      shows: "Which rule of the cloud would reject this peer (docs/audit.md).",
    },
    { run: "ss -s", shows: "How many connections the instance holds." },
    { run: "sar -n DEV 1 5", shows: "Packets per second now, against the instance type's limit (package sysstat)." },
  ],
  references: [
    "Amazon EC2 User Guide, Monitor network performance for ENA settings",
    "docs/audit.md",
    "docs/flow-logs.md",
  ],
};
