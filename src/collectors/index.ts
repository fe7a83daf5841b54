/** Every collector, in the order of the landing page. Flags, `?collect[]=` and the metrics page derive from this list. */
import type { CollectorModule } from "../model/collector.ts";
import { conntrack } from "./conntrack.ts";
import { interfaces } from "./interfaces.ts";
import { memory } from "./memory.ts";
import { tcpCounters } from "./tcp-counters.ts";

export const collectorModules: readonly CollectorModule[] = [conntrack, interfaces, memory, tcpCounters];
