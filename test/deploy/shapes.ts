/**
 * Kubernetes' and the Prometheus Operator's shapes: validators made from their schemas, which do not mind unknown keys;
 * and their TypeScript types, under which an unknown key is an error, held against each object by the compiler.
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { KubernetesObject } from "../../tools/kubernetes/chart.ts";

const run = promisify(execFile);

interface Model {
  validate(): void;
}

/** By apiVersion and kind: the module that has the class, and its type with an I before the name. */
function moduleOf({ apiVersion, kind }: KubernetesObject): string {
  const top = apiVersion.startsWith("monitoring.coreos.com/")
    ? "@kubernetes-models/prometheus-operator"
    : "kubernetes-models";
  return `${top}/${apiVersion}/${kind}`;
}

/** What is wrong with the objects; empty where nothing is. `modules` is the tools' node_modules. */
export async function wrongWith(modules: string, objects: readonly KubernetesObject[]): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "ssh-reset-shapes-"));
  try {
    await symlink(modules, join(folder, "node_modules"));
    await writeFile(join(folder, "package.json"), '{"type":"module"}');
    const found: string[] = [];
    for (const object of objects) found.push(...(await refused(modules, object)));
    const lines = objects.map(
      (object, index) =>
        `import type { I${object.kind} as T${index} } from "${moduleOf(object)}";\nexport const ${named(object, index)}: T${index} = ${JSON.stringify(object, null, 1)};\n`,
    );
    await writeFile(join(folder, "objects.ts"), lines.join(""));
    return [...found, ...(await compiled(folder))];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const named = ({ kind, metadata }: KubernetesObject, index: number): string =>
  `${kind}_${metadata.name.replace(/\W/g, "_")}_${index}`;

async function refused(modules: string, object: KubernetesObject): Promise<string[]> {
  const file = pathToFileURL(join(modules, `${moduleOf(object)}.js`)).href;
  const { [object.kind]: Model } = (await import(file)) as Record<string, new (data: unknown) => Model>;
  if (Model === undefined) return [`${object.kind}: no such kind in ${object.apiVersion}`];
  try {
    new Model(object).validate();
    return [];
  } catch (error) {
    return [`${object.kind} ${object.metadata.name}: ${error instanceof Error ? error.message : error}`];
  }
}

async function compiled(folder: string): Promise<string[]> {
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"];
  try {
    await run(process.execPath, [resolve("node_modules/typescript/bin/tsc"), ...flags, "objects.ts"], { cwd: folder });
    return [];
  } catch (error) {
    return (error as { stdout: string }).stdout.trim().split("\n");
  }
}
