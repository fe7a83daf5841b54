/** What the Helm chart carries of the kit, since a chart sees no file outside its folder: path to text. */
import { basename } from "node:path/posix";

const folder = "deploy/helm/ssh-reset-exporter/files";

/** `files` are those of alerts/ and dashboards/. */
export function chartFiles(files: Iterable<readonly [string, string]>): ReadonlyMap<string, string> {
  const carried = new Map<string, string>();
  for (const [path, text] of files) {
    if (path.endsWith(".rules.yml")) carried.set(`${folder}/rules/${basename(path)}`, text);
    // In one line: "kubectl apply" keeps a copy of the object in an annotation, which may have 256 KiB.
    if (path.startsWith("dashboards/")) {
      carried.set(`${folder}/dashboards/${basename(path)}`, `${JSON.stringify(JSON.parse(text))}\n`);
    }
  }
  return carried;
}
