/** The Helm chart rendered by the real helm. `.ts` tests and manifests.ts read its objects. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";

const run = promisify(execFile);

export const chart = "deploy/helm/ssh-reset-exporter";

export interface KubernetesObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

/** The text as helm prints it. `args` are flags of "helm template"; `from` a folder or a package. Throws what helm says. */
export async function rendered(helm: string, args: readonly string[] = [], from = chart): Promise<string> {
  const command = ["template", "ssh-reset-exporter", from, "--namespace", "ssh-reset-exporter", ...args];
  try {
    const { stdout } = await run(helm, command, { maxBuffer: 16 << 20 });
    return stdout;
  } catch (error) {
    throw new Error((error as { stderr?: string }).stderr ?? String(error));
  }
}

/** Throws where a document is no YAML, or has a key twice. */
export function objectsOf(text: string): readonly KubernetesObject[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) throw problem;
    const object = document.toJS() as KubernetesObject | null;
    return object === null ? [] : [object];
  });
}
