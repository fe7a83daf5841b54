/**
 * A pod's container started by a real OCI runtime (crun) without a cluster: what a kubelet and containerd make of the
 * pod's fields, with the node's folders where the test puts them. Not applied: cgroups' limits, SELinux, AppArmor.
 * Sources: kubernetes.io "Configure a Security Context"; containerd's internal/cri/server/container_create_linux.go and
 * pkg/oci (capabilities of a user that is not root are bounding only, masked paths, default mounts); the OCI runtime
 * specification, config-linux.md. The seccomp profile is containers-common's, as RuntimeDefault is.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../tools/debian.ts";

interface SecurityContext {
  readonly runAsUser?: number;
  readonly runAsGroup?: number;
  readonly runAsNonRoot?: boolean;
  readonly supplementalGroups?: readonly number[];
  readonly fsGroup?: number;
  readonly allowPrivilegeEscalation?: boolean;
  readonly readOnlyRootFilesystem?: boolean;
  readonly capabilities?: { readonly drop?: readonly string[]; readonly add?: readonly string[] };
}
export interface Container {
  readonly name: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string }[];
  readonly securityContext: SecurityContext;
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
    readonly mountPropagation?: string;
  }[];
}
export interface PodSpec {
  readonly hostNetwork?: boolean;
  readonly hostPID?: boolean;
  readonly securityContext: SecurityContext;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
  readonly volumes: readonly { readonly name: string; readonly hostPath?: { readonly path: string } }[];
}

export interface Node {
  readonly image: {
    /** Unpacked. */
    readonly root: string;
    readonly entrypoint: readonly string[];
    readonly env: readonly string[];
  };
  readonly address: string;
  /** Where the node's folder is; for another volume, `volume:NAME`, where its folder or, with a subPath, its file is. */
  at(hostPath: string): string;
  /** The node's network namespace, as a path; undefined: this machine's. */
  readonly network?: string;
  /** For bundles and the runtime's own state, as this process sees it. */
  readonly folder: string;
  /** A node that is not this machine: the folder as it sees it, its crun, and the words that run a program there. */
  readonly inside?: {
    readonly folder: string;
    readonly crun: string;
    command(...words: readonly string[]): readonly [string, readonly string[]];
  };
}

/** A container of the pod, running. Its output is on stdout and stderr of the process. */
export async function startContainer(pod: PodSpec, container: Container, node: Node): Promise<ChildProcess> {
  const bundle = join(node.folder, container.name);
  mkdirSync(bundle, { recursive: true });
  writeFileSync(join(bundle, "config.json"), JSON.stringify(await runtimeConfig(pod, container, node), null, 1));
  const seen = join(node.inside?.folder ?? node.folder, container.name);
  return runtime(node, "run", "--bundle", seen, idOf(container));
}

/** As a kubelet asks it to end: the signal to the container's first process, wherever the runtime runs. */
export async function stopContainer(container: Container, node: Node): Promise<void> {
  await once(await runtime(node, "kill", idOf(container), "TERM"), "close");
}

/** Ends it if it runs: a runtime that is killed leaves its container running, and deletes none without process ids of its own. */
export async function endContainer(container: Container, node: Node): Promise<void> {
  await once(await runtime(node, "kill", idOf(container), "KILL"), "close");
  await once(await runtime(node, "delete", "--force", idOf(container)), "close");
}

/** A program in a running container. */
export function execIn(container: Container, node: Node, ...words: readonly string[]): Promise<ChildProcess> {
  return runtime(node, "exec", idOf(container), ...words);
}

async function runtime(node: Node, ...args: readonly string[]): Promise<ChildProcess> {
  const { path, env } = await debian("crun");
  const state = join(node.inside?.folder ?? node.folder, "crun");
  // crun refuses a machine with both versions of cgroups, even where it is to use none.
  const script = 'umount /sys/fs/cgroup/unified 2>/dev/null; exec "$0" "$@"';
  const crun = [node.inside?.crun ?? path, "--root", state, "--cgroup-manager=disabled", ...args];
  const words = ["unshare", "--mount", "sh", "-c", script, ...crun];
  const [program, rest] = node.inside?.command(...words) ?? [words[0] as string, words.slice(1)];
  return spawn(program, rest, {
    env: node.inside === undefined ? env : process.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
}

const idOf = ({ name }: Container): string => `ssh-reset-exporter-${process.pid}-${name}`;

async function runtimeConfig(pod: PodSpec, container: Container, node: Node): Promise<unknown> {
  const context = { ...pod.securityContext, ...container.securityContext };
  const user = context.runAsUser ?? 0;
  if (context.runAsNonRoot === true && user === 0) throw new Error(`${container.name}: runAsNonRoot, and runs as root`);
  if (context.capabilities?.drop?.[0] !== "ALL") throw new Error(`${container.name}: does not drop all capabilities`);
  const capabilities = (context.capabilities.add ?? []).map((name) => `CAP_${name}`);
  const volumes = new Map(pod.volumes.map(({ name, hostPath }) => [name, hostPath?.path ?? `volume:${name}`]));
  const groups = [...(context.supplementalGroups ?? []), ...(context.fsGroup === undefined ? [] : [context.fsGroup])];
  const expand = (text: string): string => text.replaceAll("$(HOST_IP)", node.address);
  return {
    ociVersion: "1.0.2",
    root: { path: node.image.root, readonly: context.readOnlyRootFilesystem === true },
    process: {
      user: { uid: user, gid: context.runAsGroup ?? 0, additionalGids: groups },
      args: [...(container.command ?? node.image.entrypoint), ...(container.args ?? [])].map(expand),
      env: [...node.image.env, `HOST_IP=${node.address}`],
      cwd: "/",
      noNewPrivileges: context.allowPrivilegeEscalation === false,
      capabilities: {
        bounding: capabilities,
        effective: user === 0 ? capabilities : [],
        permitted: user === 0 ? capabilities : [],
        inheritable: [],
        ambient: [],
      },
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"] },
      { destination: "/dev", type: "tmpfs", source: "tmpfs", options: ["nosuid", "strictatime", "mode=755"] },
      { destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"] },
      ...container.volumeMounts.map((mount) => ({
        destination: mount.mountPath,
        source: node.at(volumes.get(mount.name) ?? ""),
        type: "bind",
        options: [
          "rbind",
          mount.readOnly === true ? "ro" : "rw",
          mount.mountPropagation === "HostToContainer" ? "rslave" : "rprivate",
        ],
      })),
    ],
    linux: {
      namespaces: [
        { type: "mount" },
        { type: "ipc" },
        { type: "uts" },
        ...(pod.hostPID === true ? [] : [{ type: "pid" }]),
        ...(pod.hostNetwork === true
          ? node.network === undefined
            ? []
            : [{ type: "network", path: node.network }]
          : [{ type: "network" }]),
      ],
      maskedPaths: ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/scsi", "/sys/firmware"],
      readonlyPaths: ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
      seccomp: seccomp((await debian("buildah")).root, capabilities),
    },
  };
}

interface SeccompEntry {
  readonly names: readonly string[];
  readonly action: string;
  readonly args?: readonly unknown[];
  readonly errnoRet?: number;
  readonly includes?: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
  readonly excludes?: { readonly caps?: readonly string[]; readonly arches?: readonly string[] };
}

/** containers-common's profile for these capabilities, in the runtime's form. */
function seccomp(root: string, capabilities: readonly string[]): unknown {
  const { defaultAction, defaultErrnoRet, syscalls } = JSON.parse(
    readFileSync(join(root, "usr/share/containers/seccomp.json"), "utf8"),
  ) as { defaultAction: string; defaultErrnoRet: number; syscalls: readonly SeccompEntry[] };
  const arch = process.arch === "arm64" ? "arm64" : "amd64";
  const applies = ({ includes, excludes }: SeccompEntry): boolean =>
    (includes?.caps ?? []).every((name) => capabilities.includes(name)) &&
    (includes?.arches ?? [arch]).includes(arch) &&
    !(excludes?.caps ?? []).some((name) => capabilities.includes(name)) &&
    !(excludes?.arches ?? []).includes(arch);
  return {
    defaultAction,
    defaultErrnoRet,
    architectures: [process.arch === "arm64" ? "SCMP_ARCH_AARCH64" : "SCMP_ARCH_X86_64"],
    syscalls: syscalls.filter(applies).map(({ names, action, args, errnoRet }) => ({
      names,
      action,
      ...(args !== undefined && args.length > 0 && { args }),
      ...(errnoRet !== undefined && { errnoRet }),
    })),
  };
}
