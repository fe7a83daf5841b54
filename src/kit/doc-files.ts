/** The generated pages below docs/: path to text. */
import { configurationDoc } from "./configuration-doc.ts";
import type { Sample } from "./message-samples.ts";
import { messagesDoc } from "./messages-doc.ts";
import { metricsDoc } from "./metrics-doc.ts";

export function docFiles(samples: readonly Sample[]): ReadonlyMap<string, string> {
  return new Map([
    ["docs/configuration.md", configurationDoc()],
    ["docs/messages.md", messagesDoc(samples)],
    ["docs/metrics.md", metricsDoc()],
  ]);
}
