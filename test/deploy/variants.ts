/**
 * What the pod of the chart gets, and what it sees without each of it: the table of docs/install-container.md. Started by
 * pod.ts on any node; test/image takes this machine, test/lab/pod.ts a host of the lab.
 */
import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { objectsOf, rendered } from "../../tools/kubernetes/chart.ts";
import { kubernetesTools } from "../../tools/kubernetes/tools.ts";
import { until } from "../lab/command.ts";
import type { Parts } from "../lab/parts.ts";
import { type Container, endContainer, execIn, type Node, type PodSpec, startContainer, stopContainer } from "./pod.ts";

export interface Variant {
  /** As the table calls it. */
  readonly name: string;
  readonly what: string;
  /** What a list of lost metrics does not tell. */
  readonly note?: string;
  /** Flags of "helm template". */
  readonly values?: readonly string[];
  readonly change?: (pod: PodSpec) => PodSpec;
}

const withoutMount =
  (mountPath: string) =>
  (pod: PodSpec): PodSpec => ({
    ...pod,
    containers: pod.containers.map((one) => ({
      ...one,
      volumeMounts: one.volumeMounts.filter((mount) => mount.mountPath !== mountPath),
    })),
  });

export const complete: Variant = { name: "", what: "" };
/** Each of them is missing in turn; the rows of the table. */
export const missing: readonly Variant[] = [
  {
    name: "the host's network",
    what: "sockets, counters and interfaces of a network namespace",
    note: "it then tells of the pod's own network",
    change: (pod) => ({ ...pod, hostNetwork: false }),
  },
  { name: "`/proc`, read-only", what: "sshd's processes, the kernel's counters", change: withoutMount("/host/proc") },
  {
    name: "`/sys`, read-only, with what is mounted below",
    what: "interfaces, control groups, tracefs",
    note: "the kernel's reset events",
    change: withoutMount("/host/sys"),
  },
  {
    name: "`/etc`, read-only",
    what: "sshd_config, hosts.allow and hosts.deny, os-release",
    note: "limits of sshd, rules of TCP wrappers and the distribution are then taken as where there are none",
    change: withoutMount("/host/etc"),
  },
  { name: "`/usr`, read-only", what: "whether sshd is linked with libwrap", change: withoutMount("/host/usr") },
  { name: "`/var/log`, read-only", what: "journal, log files", change: withoutMount("/host/var/log") },
  {
    name: "`/run/log`, read-only",
    what: "the journal where it is kept in memory",
    note: "the journal, where it is kept there",
    change: withoutMount("/host/run/log"),
  },
  { name: "group 4 (`adm`)", what: "reading them", values: ["supplementalGroups=null"] },
];
/** What is there with a connection, a peer, or a driver that counts. */
const comesAndGoes = /^sshreset_(source|ssh_socket|peer|session|interface_driver)|^collector (nic|cloud)$/;

/** The documented table's rows, as they must be: `lost` is what a difference gave. */
export const row = ({ name, what, note }: Variant, lost: string): string =>
  `| ${name} | ${what} | ${lost === "nothing" && note !== undefined ? note : [lost, ...(note === undefined ? [] : [note])].join("; ")} |`;

export interface Running {
  ask(path: string): Promise<string>;
  said(): string;
  end(): Promise<void>;
}

export async function startPod(node: Node, { values = [], change = (pod) => pod }: Variant): Promise<Running> {
  const { helm } = await kubernetesTools();
  const objects = objectsOf(
    await rendered(
      helm,
      values.flatMap((value) => ["--set", value]),
    ),
  );
  const daemonSet = objects.find(({ kind }) => kind === "DaemonSet") as unknown as {
    spec: { template: { spec: PodSpec } };
  };
  const pod = change(daemonSet.spec.template.spec);
  let said = "";
  const begin = async (container: Container) => {
    const child = await startContainer(pod, container, node);
    for (const stream of [child.stdout, child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        said = (said + chunk.toString()).slice(-8000);
      });
    return child;
  };
  for (const container of pod.initContainers ?? []) {
    const [code] = (await once(await begin(container), "close")) as [number | null];
    if (code !== 0) throw new Error(`${container.name} ended with ${code}: ${said}`);
  }
  const [exporter] = pod.containers as [Container];
  const [, port] = /]:(\d+)$/.exec(exporter.args?.[0] ?? "") ?? [];
  const child = await begin(exporter);
  const ended = once(child, "close").then(() => true);
  return {
    async ask(path) {
      const program = `fetch("http://127.0.0.1:${port}${path}").then((r) => r.text()).then((t) => process.stdout.write(t), () => {})`;
      const asker = await execIn(exporter, node, "node", "-e", program);
      let text = "";
      asker.stdout?.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      await once(asker, "close");
      return text;
    },
    said: () => said,
    async end() {
      await stopContainer(exporter, node);
      if (await Promise.race([ended, delay(10_000, false, { ref: false })])) return;
      await endContainer(exporter, node);
      // The runtime may miss the end of a container that another call of it has removed.
      child.kill("SIGKILL");
    },
  };
}

/** It answers, and no collector waits for its first background reading. */
export async function settled(running: Running): Promise<void> {
  const answers = async () => (await running.ask("/-/healthy")) !== "";
  await until("the exporter answers", answers).catch((error: Error) => {
    throw new Error(`${error.message}; the pod said: ${running.said()}`);
  });
  await until("collectors are settled", async () => {
    await running.ask("/metrics");
    return !/not read yet|still being read|not answered yet/.test(await running.ask("/"));
  });
}

/** What the first sees and the second does not: sources and collectors; else metrics of collectors that both have. */
export function difference(first: Parts, second: Parts): string {
  const parts = [...first.parts].filter(
    ([part, state]) => state === "yes" && second.parts.get(part) !== "yes" && !comesAndGoes.test(part),
  );
  const failed = [...second.parts].filter(([part, state]) => state === "failed" && first.parts.get(part) !== "failed");
  const metrics = [...first.metrics].filter((name) => !second.metrics.has(name) && !comesAndGoes.test(name));
  const lost = [
    ...parts.map(([part]) => part.replace(/ (.*)/, " `$1`")),
    ...failed.filter(([part]) => !parts.some(([name]) => name === part)).map(([part]) => `${part} fails`),
  ];
  const all = lost.length > 0 ? lost : metrics.map((name) => `\`${name.replace("sshreset_", "")}\``);
  return all.length === 0 ? "nothing" : all.join(", ");
}
