/** What an exporter's page says that it can see, for the tables of docs/privileges.md and docs/install-container.md. */

export type State = "yes" | "no" | "failed";

/** `source journal`, `collector sshd` to their state, and the names of the metrics that are there. */
export interface Parts {
  readonly parts: ReadonlyMap<string, State>;
  readonly metrics: ReadonlySet<string>;
}

export function partsOf(text: string): Parts {
  const parts = new Map<string, State>();
  const metrics = new Set<string>();
  const failed = new Set<string>();
  for (const line of text.split("\n").filter((each) => each.startsWith("sshreset_"))) {
    metrics.add(/^\w+/.exec(line)?.[0].replace(/_(?:bucket|sum|count)$/, "") ?? "");
    const [, metric, name = "", value] =
      /^sshreset_(source_up|scrape_collector_\w+)\{\w+="(\w+)"\} (\d)$/.exec(line) ?? [];
    if (metric === "source_up") parts.set(`source ${name}`, value === "1" ? "yes" : "no");
    if (metric === "scrape_collector_available") parts.set(`collector ${name}`, value === "1" ? "yes" : "no");
    if (metric === "scrape_collector_success" && value === "0") failed.add(`collector ${name}`);
  }
  for (const name of failed) parts.set(name, "failed");
  return { parts, metrics };
}
