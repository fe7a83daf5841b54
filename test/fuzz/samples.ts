/** What must hold for the samples of any input: numbers that a scrape can show, labels that are ours. */
import type { Sample } from "../../src/model/metric.ts";
import { must } from "./target.ts";

const mostSamples = 2000;

/** Gives which samples are not 0. */
export function checkSamples(samples: readonly Sample[]): string {
  must(samples.length <= mostSamples, `${samples.length} samples`);
  const counted: string[] = [];
  for (const { name, labels = {}, value } of samples) {
    const numbers = typeof value === "number" ? [value] : [...value.counts, value.sum];
    for (const number of numbers) must(Number.isFinite(number), `${name} ${JSON.stringify(labels)} is ${number}`);
    if (name.endsWith("_total")) must(Number(value) >= 0, `${name} is ${value}`);
    for (const [label, text] of Object.entries(labels)) {
      must(typeof text === "string" && text.length <= 64, `${name}: ${label} is ${JSON.stringify(text)}`);
    }
    if (value !== 0) counted.push(name);
  }
  return [...new Set(counted)].join(",");
}
