/** Every collector, in the order of the status page. Flags, `?collect[]=` and the metrics page derive from this list. */
import type { CollectorModule } from "../model/collector.ts";
import { cloud } from "./cloud.ts";
import { conntrack } from "./conntrack.ts";
import { host } from "./host.ts";
import { interfaces } from "./interfaces.ts";
import { memory } from "./memory.ts";
import { nic } from "./nic.ts";
import { pathMtu } from "./path-mtu.ts";
import { resetTtl } from "./reset-ttl.ts";
import { sockets } from "./sockets.ts";
import { sshd } from "./sshd.ts";
import { tcpCounters } from "./tcp-counters.ts";
import { tcpWrappers } from "./tcp-wrappers.ts";

export const collectorModules: readonly CollectorModule[] = [
  cloud,
  conntrack,
  host,
  interfaces,
  memory,
  nic,
  pathMtu,
  resetTtl,
  sockets,
  sshd,
  tcpCounters,
  tcpWrappers,
];
