/** Everything that reads what others wrote. */
import { betweenTargets } from "./between-targets.ts";
import { configurationTargets } from "./configuration-targets.ts";
import { hostTargets } from "./host-targets.ts";
import { networkTargets } from "./network-targets.ts";
import { recordTargets } from "./record-targets.ts";
import { stateTargets } from "./state-targets.ts";
import type { Target } from "./target.ts";

export const targets: readonly Target[] = [
  ...recordTargets,
  ...hostTargets,
  ...configurationTargets,
  ...stateTargets,
  ...networkTargets,
  ...betweenTargets,
];
