/** All scenarios, in the order in which they run. */
import type { Scenario } from "../scenario.ts";
import { crash } from "./crash.ts";
import { maxStartups } from "./max-startups.ts";
import { middleboxReset } from "./middlebox-reset.ts";
import { mtuBlackhole } from "./mtu-blackhole.ts";
import { oomSshd } from "./oom-sshd.ts";
import { restart } from "./restart.ts";
import { tcpWrappers } from "./tcp-wrappers.ts";

export const scenarios: readonly Scenario[] = [
  crash,
  restart,
  oomSshd,
  maxStartups,
  tcpWrappers,
  middleboxReset,
  mtuBlackhole,
];
