/** Step 6: the cloud drops this instance's packets because it is beyond an allowance. */
import type { Cause } from "../cause.ts";
import { increase, series } from "../condition.ts";
import { collected } from "../observable.ts";
import { settingUp } from "../scope.ts";

export const cloudLimit: Cause = {
  id: "cloud_limit",
  alert: "SshResetCloudLimit",
  step: 6,
  title: "the cloud's allowance is exceeded",
  summary: "The cloud drops packets of this instance: an allowance of its network is exceeded.",
  explanation:
    "Instances have limits of tracked connections, packets per second and bandwidth. Beyond them packets are dropped or queued outside of the host, where no log of the host shows it; the driver counts them.",
  severity: "critical",
  evidence: increase(
    series("cloud_allowance_exceeded_total", { allowance: ["conntrack", "pps", "linklocal"] }),
    5,
    ">=",
    "packets",
  ),
  thresholds: {
    packets: {
      value: 5,
      unit: "packets dropped in 5 minutes beyond the instance's allowance",
      reason: "Short bursts beyond an allowance drop a few; TCP repairs those.",
    },
  },
  forSeconds: 60,
  keepSeconds: 300,
  explains: settingUp,
  inhibits: ["login_timeout"],
  ...collected(
    "cloud",
    "an instance whose driver counts allowances (AWS ENA 2.2.10 or later), and the program ethtool",
  ),
  next: [
    { run: "ethtool -S IFACE | grep exceeded", shows: "`conntrack_allowance_exceeded` and the like (AWS ENA)." },
    { run: "ss -s", shows: "How many connections the instance holds." },
    { run: "sar -n DEV 1 5", shows: "Packets per second now, against the instance type's limit (package sysstat)." },
  ],
  references: ["Amazon EC2 User Guide, Monitor network performance for ENA settings"],
};
