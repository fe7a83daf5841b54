/** PromQL for panels: every query asks only for the hosts that the variables `job` and `instance` choose. */
import { prefix } from "../../diagnosis/condition.ts";

/** All of the hosts chosen; `instance` is all, or a list that Grafana joins to a regular expression. */
export const chosen = 'job=~"$job",instance=~"$instance"';

/** `own("sshd_up")`: a metric of the exporter on the hosts chosen; with further matchers. */
export const own = (metric: string, matchers = ""): string => any(`${prefix}${metric}`, matchers);

/** The same for a metric of another's: `up`, `process_cpu_seconds_total`. */
export const any = (metric: string, matchers = ""): string =>
  `${metric}{${chosen}${matchers === "" ? "" : `,${matchers}`}}`;

export const sum = (vector: string, by = ""): string => aggregate("sum", vector, by);
export const max = (vector: string, by = ""): string => aggregate("max", vector, by);
export const min = (vector: string, by = ""): string => aggregate("min", vector, by);
const aggregate = (how: string, vector: string, by: string): string =>
  by === "" ? `${how}(${vector})` : `${how} by (${by}) (${vector})`;

export const rate = (vector: string): string => `rate(${vector}[$__rate_interval])`;
/** How often within one interval of the graph. */
export const increase = (vector: string): string => `increase(${vector}[$__rate_interval])`;
/** How often within the time that is shown. */
export const total = (vector: string): string => `increase(${vector}[$__range])`;
export const everIn = (vector: string): string => `max_over_time(${vector}[$__range])`;

/** Of many series the few that had most of it within the time shown: the same ones along the whole graph. */
export const worst = (count: number, by: string, vector: string, weight: string): string =>
  `(${vector}) and on (${by}) topk(${count}, ${weight})`;
