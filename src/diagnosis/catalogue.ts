/** Every cause, in the order of the checklist. Rules, pages, runbooks, dashboards and verdicts derive from this list. */
import type { Cause } from "./cause.ts";
import { balancerThrottled } from "./causes/balancer-throttled.ts";
import { cloudLimit } from "./causes/cloud-limit.ts";
import { connectionThrottling } from "./causes/connection-throttling.ts";
import { conntrackFull } from "./causes/conntrack-full.ts";
import { cpuPressure } from "./causes/cpu-pressure.ts";
import { idleTimeout } from "./causes/idle-timeout.ts";
import { loginTimeout } from "./causes/login-timeout.ts";
import { memoryPressure } from "./causes/memory-pressure.ts";
import { middleboxReset } from "./causes/middlebox-reset.ts";
import { mtuBlackhole } from "./causes/mtu-blackhole.ts";
import { networkPath } from "./causes/network-path.ts";
import { oomKill } from "./causes/oom-kill.ts";
import { processLimit } from "./causes/process-limit.ts";
import { proxyProtocol } from "./causes/proxy-protocol.ts";
import { sshdCrash } from "./causes/sshd-crash.ts";
import { sshdDown } from "./causes/sshd-down.ts";
import { sshdRestart } from "./causes/sshd-restart.ts";
import { tcpWrappers } from "./causes/tcp-wrappers.ts";

export const catalogue: readonly Cause[] = [
  sshdCrash,
  sshdDown,
  sshdRestart,
  oomKill,
  memoryPressure,
  cpuPressure,
  processLimit,
  tcpWrappers,
  mtuBlackhole,
  conntrackFull,
  idleTimeout,
  middleboxReset,
  proxyProtocol,
  cloudLimit,
  connectionThrottling,
  balancerThrottled,
  loginTimeout,
  networkPath,
];
