/** The generated pages below docs/: path to text. */
import { type Interface, publicInterface } from "./compatibility.ts";
import { compatibilityDoc } from "./compatibility-doc.ts";
import { configurationDoc } from "./configuration-doc.ts";
import { idleTimeoutsDoc } from "./idle-timeouts-doc.ts";
import type { Sample } from "./message-samples.ts";
import { messagesDoc } from "./messages-doc.ts";
import { metricsDoc } from "./metrics-doc.ts";

export function docFiles(samples: readonly Sample[]): ReadonlyMap<string, string> {
  const list = publicInterface();
  return new Map([
    ["docs/compatibility.json", interfaceFile(list)],
    ["docs/compatibility.md", compatibilityDoc(list)],
    ["docs/configuration.md", configurationDoc()],
    ["docs/idle-timeouts.md", idleTimeoutsDoc()],
    ["docs/messages.md", messagesDoc(samples)],
    ["docs/metrics.md", metricsDoc()],
  ]);
}

/** One line for each thing, so that a difference reads well. */
export function interfaceFile(list: Interface): string {
  const kinds = Object.entries(list).map(([kind, things]) => {
    const lines = Object.entries(things).map(
      ([name, thing]) => `    ${JSON.stringify(name)}: ${JSON.stringify(thing)}`,
    );
    return `  ${JSON.stringify(kind)}: {\n${lines.join(",\n")}\n  }`;
  });
  return `{\n${kinds.join(",\n")}\n}\n`;
}
