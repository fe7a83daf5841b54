/**
 * Grafana's shapes as JSON schemas, made from the foundation SDK's own TypeScript types: a dashboard, each panel's options
 * and field options, a Prometheus query. Nothing beyond the types is allowed. Made once for each version of the SDK and
 * kept in the tests' cache.
 */
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createGenerator, type Schema } from "ts-json-schema-generator";
import { cacheFolder, locked } from "../../../tools/debian.ts";

const sdk = dirname(createRequire(import.meta.url).resolve("@grafana/grafana-foundation-sdk/dashboard"));

/** Type name by what is checked with it. */
const types = {
  dashboard: ["dashboard", "Dashboard"],
  panel: ["dashboard", "Panel"],
  row: ["dashboard", "RowPanel"],
  field: ["dashboard", "FieldConfig"],
  query: ["prometheus", "Dataquery"],
  "timeseries options": ["timeseries", "Options"],
  "timeseries custom": ["common", "GraphFieldConfig"],
  "stat options": ["stat", "Options"],
  "state-timeline options": ["statetimeline", "Options"],
  "state-timeline custom": ["statetimeline", "FieldConfig"],
  "table options": ["table", "Options"],
  "table custom": ["common", "TableFieldOptions"],
  "heatmap options": ["heatmap", "Options"],
  "heatmap custom": ["heatmap", "FieldConfig"],
} as const;
export type Shape = keyof typeof types;

export async function schemas(): Promise<Readonly<Record<Shape, Schema>>> {
  const { version } = JSON.parse(await readFile(join(sdk, "../../package.json"), "utf8")) as { version: string };
  const folder = join(cacheFolder, "grafana-schemas");
  const file = join(folder, `${version}-${Object.keys(types).length}.json`);
  const cached = await readFile(file, "utf8").catch(() => undefined);
  if (cached !== undefined) return JSON.parse(cached) as Record<Shape, Schema>;
  await mkdir(folder, { recursive: true });
  await locked(folder, async () => {
    const made = Object.entries(types).map(([shape, [module, type]]) => [shape, generated(module, type)]);
    const fresh = `${file}.${process.pid}`;
    await writeFile(fresh, JSON.stringify(Object.fromEntries(made)));
    await rename(fresh, file);
  });
  return schemas();
}

function generated(module: string, type: string): Schema {
  const path = join(sdk, "..", module, "types.gen.d.ts");
  return createGenerator({
    path,
    type,
    skipTypeCheck: true,
    additionalProperties: false,
    functions: "hide",
  }).createSchema(type);
}
