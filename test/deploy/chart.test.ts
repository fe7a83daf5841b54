/** The Helm chart through the real helm, its objects through their schemas, its rules through promtool. */
import { execFile } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { parse, stringify } from "yaml";
import { debianOr } from "../../tools/debian.ts";
import { chart, type KubernetesObject, objectsOf, rendered } from "../../tools/kubernetes/chart.ts";
import { staleManifests } from "../../tools/kubernetes/manifests.ts";
import { type KubernetesTools, kubernetesToolsOr } from "../../tools/kubernetes/tools.ts";
import { firingByPrometheus, run as runTool } from "../alerts/promtool.ts";
import { scenarios } from "../alerts/scenarios.ts";
import type { Container, PodSpec } from "./pod.ts";
import { wrongWith } from "./shapes.ts";

const run = promisify(execFile);
const folder = "test/deploy/values";
/** Each of them, and the chart as it comes. */
const valuesFiles = ["", ...readdirSync(folder)];
const flagsOf = (file: string): string[] => (file === "" ? [] : ["--values", join(folder, file)]);

interface DaemonSet extends KubernetesObject {
  readonly spec: { readonly template: { readonly spec: PodSpec & { readonly tolerations?: unknown } } };
}
interface Rules extends KubernetesObject {
  readonly spec: { readonly groups: readonly { readonly rules: readonly Readonly<Record<string, unknown>>[] }[] };
}
interface ConfigMap extends KubernetesObject {
  readonly data: Readonly<Record<string, string>>;
}

const ofKind = <T extends KubernetesObject>(objects: readonly KubernetesObject[], kind: string): readonly T[] =>
  objects.filter((object) => object.kind === kind) as unknown as T[];
const podOf = (objects: readonly KubernetesObject[]): PodSpec =>
  (ofKind<DaemonSet>(objects, "DaemonSet")[0] as DaemonSet).spec.template.spec;
const exporterOf = (pod: PodSpec): Container => pod.containers[0] as Container;

describe("the Helm chart", function () {
  this.timeout(120_000);
  let tools: KubernetesTools;
  const made = new Map<string, readonly KubernetesObject[]>();
  const objects = (file: string): readonly KubernetesObject[] => made.get(file) ?? [];

  before(async function () {
    tools = await kubernetesToolsOr(this);
    for (const file of valuesFiles) made.set(file, objectsOf(await rendered(tools.helm, flagsOf(file))));
  });

  const refusal = async (...args: string[]): Promise<string> =>
    rendered(tools.helm, args).then(
      () => "",
      (error: Error) => error.message,
    );

  for (const file of valuesFiles) {
    describe(file === "" ? "as it comes" : `with ${file}`, () => {
      it("is what helm lint wants, warnings being errors", async () => {
        const { stdout } = await run(tools.helm, ["lint", "--strict", chart, ...flagsOf(file)]);
        expect(stdout).to.include("1 chart(s) linted, 0 chart(s) failed");
      });

      it("makes objects of the shapes that Kubernetes and the operator know", async () => {
        expect(await wrongWith(tools.modules, objects(file))).to.deep.equal([]);
      });

      it("makes each object once, in the release's namespace", () => {
        const names = objects(file).map(({ kind, metadata }) => `${kind} ${metadata.name}`);
        expect(new Set(names).size).to.equal(names.length);
        for (const { metadata } of objects(file)) expect(metadata.namespace).to.equal("ssh-reset-exporter");
      });

      it("mounts volumes that are there, and drops all capabilities on a read-only root", () => {
        const pod = podOf(objects(file));
        const volumes = pod.volumes.map(({ name }) => name);
        for (const { volumeMounts, securityContext } of [...(pod.initContainers ?? []), ...pod.containers]) {
          expect(volumes).to.include.members(volumeMounts.map(({ name }) => name));
          expect(securityContext.readOnlyRootFilesystem).to.equal(true);
          expect(securityContext.allowPrivilegeEscalation).to.equal(false);
          expect(securityContext.capabilities?.drop).to.deep.equal(["ALL"]);
        }
        for (const { name, readOnly } of exporterOf(pod).volumeMounts)
          expect(readOnly ?? false, name).to.equal(name !== "state");
      });
    });
  }

  it("refuses a shape that Kubernetes does not know", async () => {
    const spoilt = JSON.parse(
      JSON.stringify(objects("")).replace('"hostNetwork"', '"hostNetwrk"'),
    ) as KubernetesObject[];
    const wrong = await wrongWith(tools.modules, spoilt);
    expect(wrong.join()).to.match(/'"?hostNetwrk"?' does not exist in type 'IPodSpec'/);
    const daemonSet = spoilt.map((o) => (o.kind === "DaemonSet" ? { ...o, spec: { selector: {} } } : o));
    expect((await wrongWith(tools.modules, daemonSet)).join()).to.match(
      /DaemonSet ssh-reset-exporter: data\/spec.* must have required property/,
    );
  });

  it("runs without root as it comes, but for one init container with CHOWN", () => {
    const pod = podOf(objects(""));
    expect(pod.securityContext).to.include({ runAsUser: 10922, runAsGroup: 10922, runAsNonRoot: true });
    expect(exporterOf(pod).securityContext.capabilities).to.deep.equal({ drop: ["ALL"] });
    expect(pod.initContainers?.map(({ securityContext }) => securityContext.capabilities?.add)).to.deep.equal([
      ["CHOWN"],
    ]);
    expect(pod).to.include({ hostNetwork: true }).and.to.not.have.property("hostPID");
  });

  it("has no init container where nothing is to prepare, and keeps its state in the pod", () => {
    const pod = podOf(objects("off.yaml"));
    expect(pod).to.not.have.property("initContainers");
    expect(exporterOf(pod).args).to.include("--no-source.tcp-trace");
    expect(pod.volumes.find(({ name }) => name === "state")).to.have.property("emptyDir");
    expect(objects("off.yaml").map(({ kind }) => kind)).to.deep.equal(["DaemonSet"]);
  });

  it("passes every value on", () => {
    const all = objects("on.yaml");
    const pod = podOf(all);
    const exporter = exporterOf(pod);
    expect(all.map(({ kind }) => kind)).to.include.members([
      "ConfigMap",
      "DaemonSet",
      "NetworkPolicy",
      "PrometheusRule",
      "Service",
      "ServiceAccount",
      "ServiceMonitor",
    ]);
    expect(exporter.args).to.include.members([
      "--web.listen-address=[$(HOST_IP)]:9100",
      "--collector.reset_ttl",
      "--sshd.port=22",
      "--sshd.port=2222",
      "--config.file=/etc/ssh-reset-exporter/config.yaml",
      "--web.config.file=/etc/ssh-reset-exporter/web/web.yml",
      "--log.level=debug",
    ]);
    expect(pod.securityContext).to.deep.include({ runAsUser: 0, supplementalGroups: [4, 190] });
    expect(exporter.securityContext.capabilities).to.deep.equal({ drop: ["ALL"], add: ["NET_ADMIN"] });
    const [prepare] = pod.initContainers ?? [];
    expect(prepare?.command?.at(-1)).to.include("--sshd.port=22 --sshd.port=2222").and.to.include("observe install");
    expect(
      ofKind<ConfigMap>(all, "ConfigMap")
        .map(({ data }) => data["config.yaml"])
        .join(""),
    ).to.include("10.0.0.7");
    const text = JSON.stringify(all);
    const everywhere = [
      "sha256:0123",
      '"release":"kube-prometheus-stack"',
      '"insecureSkipVerify":true',
      '"role":"alert-rules"',
    ];
    for (const part of [
      ...everywhere,
      "system-node-critical",
      "/srv/flow-logs",
      '"path":"/opt/state"',
      '"cidr":"10.0.0.0/8"',
    ])
      expect(text).to.include(part);
    for (const part of ["runbooks.example.org", "grafana.example.org"]) expect(text).to.not.include(part);
    expect(text).to.include('"tcpSocket"');
    expect(text).to.not.include('"httpGet"');
  });

  const mistakes: Readonly<Record<string, RegExp>> = {
    "port=70000": /at '\/port': maximum: got 70,000, want 65,535/,
    "podMoniter.enabled=true": /additional properties 'podMoniter' not allowed/,
    "tcpTrace.enable=false": /at '\/tcpTrace': additional properties 'enable' not allowed/,
    "image.tag=5": /at '\/image\/tag': got number, want string/,
    "image.repository=": /at '\/image\/repository': (minLength|.* does not match pattern)/,
    "image.digest=latest": /at '\/image\/digest': 'latest' does not match pattern/,
    "extraArgs={-v}": /at '\/extraArgs\/0': '-v' does not match pattern/,
    "state.hostPath=var/lib": /at '\/state\/hostPath': 'var\/lib' does not match pattern/,
    "scrape.interval=15": /at '\/scrape\/interval': got number, want string/,
    "supplementalGroups={adm}": /at '\/supplementalGroups\/0': got string, want integer/,
    "webConfig.scheme=ftp": /at '\/webConfig\/scheme': value must be one of 'http', 'https'/,
    "prometheusRule.disabled={sshd_down}": /at '\/prometheusRule\/disabled\/0': 'sshd_down' does not match pattern/,
    "links.runbooks=wiki": /at '\/links\/runbooks': 'wiki' does not match pattern/,
    "podMonitor.enabled=true,serviceMonitor.enabled=true": /scraped twice; choose one/,
    "prometheusRule.enabled=true,prometheusRule.disabled={SshNever}": /no alert is named SshNever/,
  };
  for (const [value, message] of Object.entries(mistakes)) {
    it(`refuses ${value}`, async () => {
      expect(await refusal("--set", value)).to.match(message);
    });
  }

  it("has each value in its schema, and each key of its schema among its values", () => {
    const values = parse(readFileSync(join(chart, "values.yaml"), "utf8")) as object;
    const schema = JSON.parse(readFileSync(join(chart, "values.schema.json"), "utf8")) as {
      properties: Record<string, unknown>;
    };
    expect(Object.keys(schema.properties).filter((key) => key !== "global")).to.have.members(Object.keys(values));
  });

  it("is YAML that yamllint takes, with the other files of deploy/ that are written by hand", async function () {
    const { path, env } = await debianOr(this, "yamllint");
    const rules =
      "{line-length: {max: 120}, document-start: disable, braces: {max-spaces-inside: 0}, comments: {min-spaces-from-content: 1}}";
    const files = [
      "deploy/compose.yaml",
      "deploy/compose",
      "deploy/kubernetes/namespace.yaml",
      "deploy/kubernetes/kustomization.yaml",
    ];
    const command = [
      "-d",
      `{extends: default, rules: ${rules}}`,
      ...files,
      join(chart, "Chart.yaml"),
      join(chart, "values.yaml"),
      folder,
    ];
    const { code, output } = await runTool({ path, env, root: "" }, command);
    expect(output).to.equal("");
    expect(code).to.equal(0);
  });

  it("is packaged with all that it needs", async () => {
    const temporary = mkdtempSync(join(tmpdir(), "ssh-reset-chart-"));
    try {
      await run(tools.helm, ["package", chart, "--destination", temporary]);
      const archive = join(temporary, readdirSync(temporary)[0] ?? "");
      expect(objectsOf(await rendered(tools.helm, flagsOf("on.yaml"), archive))).to.deep.equal(objects("on.yaml"));
    } finally {
      rmSync(temporary, { recursive: true });
    }
  });

  it("tells after the installation what is left to do, and no more", async () => {
    const notes = async (file: string): Promise<string> => {
      const command = ["install", "one", chart, "--dry-run=client", "--namespace", "ssh", ...flagsOf(file)];
      const { stdout } = await run(tools.helm, command, {
        env: { ...process.env, KUBECONFIG: "/nonexistent" },
        maxBuffer: 16 << 20,
      });
      return stdout.split("\nNOTES:\n")[1] ?? "";
    };
    const asItComes = await notes("");
    expect(asItComes).to.include("kubectl label namespace ssh pod-security.kubernetes.io/enforce=privileged");
    expect(asItComes).to.include("daemonset/one-ssh-reset-exporter -- ssh-reset-exporter check");
    expect(asItComes).to.include("Nothing scrapes it yet").and.to.include("No alerts yet");
    expect(await notes("on.yaml")).to.not.match(/Nothing scrapes|No alerts|runbooks\.example\.org|emptyDir/);
    expect(await notes("root.yaml")).to.include("set links.runbooks and links.grafana");
    expect(await notes("off.yaml")).to.include("State is an emptyDir");
  });

  it("has the project's version", () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(parse(readFileSync(join(chart, "Chart.yaml"), "utf8"))).to.include({ version, appVersion: version });
  });

  describe("its rules", () => {
    const shipped = (): readonly unknown[] =>
      readdirSync("alerts")
        .filter((name) => name.endsWith(".rules.yml"))
        .flatMap((name) => (parse(readFileSync(join("alerts", name), "utf8")) as Rules["spec"]).groups);
    const groupsOf = (file: string): Rules["spec"]["groups"] =>
      ofKind<Rules>(objects(file), "PrometheusRule").flatMap(({ spec }) => spec.groups);

    it("are those of alerts/, their own braces untouched", () => {
      expect(groupsOf("root.yaml")).to.deep.equal(shipped());
      expect(JSON.stringify(groupsOf("root.yaml"))).to.include("{{ $labels.instance }}");
    });

    it("lack the alerts that are not wanted, and nothing else", () => {
      const alerts = (groups: Rules["spec"]["groups"]) =>
        groups.flatMap(({ rules }) => rules.map(({ alert }) => alert));
      const [all, some] = [alerts(groupsOf("root.yaml")), alerts(groupsOf("on.yaml"))];
      expect(some).to.deep.equal(all.filter((alert) => alert !== "SshResetNetworkPath"));
      expect(some).to.have.lengthOf(all.length - 1);
    });

    it("are accepted by promtool and fire as alerts/ does", async function () {
      const promtool = await debianOr(this, "promtool");
      const temporary = mkdtempSync(join(tmpdir(), "ssh-reset-chart-"));
      try {
        const file = join(temporary, "rules.yml");
        writeFileSync(
          file,
          stringify({ groups: groupsOf("root.yaml") }, { lineWidth: 0, aliasDuplicateObjects: false }),
        );
        const { code, output } = await runTool(promtool, [
          "check",
          "rules",
          "--lint=duplicate-rules",
          "--lint-fatal",
          file,
        ]);
        expect(code, output).to.equal(0);
        const some = scenarios.slice(0, 4);
        const [ours, theirs] = await Promise.all([
          firingByPrometheus(promtool, some, file),
          firingByPrometheus(promtool, some),
        ]);
        expect(ours).to.deep.equal(theirs);
        expect(new Set(ours.flatMap((steps) => steps.flatMap((alerts) => [...alerts]))).size).to.be.above(3);
      } finally {
        rmSync(temporary, { recursive: true });
      }
    });
  });

  describe("its dashboards", () => {
    it("are those of dashboards/", () => {
      const shown = ofKind<ConfigMap>(objects("on.yaml"), "ConfigMap").filter(
        ({ metadata }) => metadata.labels?.["grafana_dashboard"],
      );
      expect(shown.map(({ metadata }) => metadata.labels?.["grafana_dashboard"])).to.deep.equal(["yes", "yes", "yes"]);
      const names = readdirSync("dashboards").filter((name) => name.endsWith(".json"));
      expect(shown.flatMap(({ data }) => Object.keys(data))).to.have.members(names);
      for (const { data } of shown) {
        for (const [name, text] of Object.entries(data)) {
          const own = readFileSync(join("dashboards", name), "utf8")
            .replaceAll("https://runbooks.example.org/ssh-reset-exporter", "https://wiki.example.org/ssh")
            .replaceAll("https://grafana.example.org", "https://grafana.example.net");
          expect(JSON.parse(text)).to.deep.equal(JSON.parse(own));
        }
      }
    });
  });

  it("makes no object that kubectl apply could not annotate", () => {
    for (const object of objects("on.yaml"))
      expect(JSON.stringify(object).length, `${object.kind} ${object.metadata.name}`).to.be.below(256 * 1024);
  });

  describe("deploy/kubernetes", () => {
    it("is made of the chart as it is", async () => {
      expect(await staleManifests()).to.deep.equal([]);
    });

    it("has the chart's rules and dashboards", async () => {
      const plain = ["rules.yaml", "dashboards.yaml"].flatMap((name) =>
        objectsOf(readFileSync(join("deploy/kubernetes", name), "utf8")),
      );
      const values = ["--set", "prometheusRule.enabled=true,dashboards.enabled=true"];
      const theirs = objectsOf(await rendered(tools.helm, values)).filter(({ kind, metadata }) =>
        plain.some((own) => own.kind === kind && own.metadata.name === metadata.name),
      );
      const helmsOwn = /^(app\.kubernetes\.io\/(managed-by|version)|helm\.sh\/chart)$/;
      const withoutHelm = ({ metadata, ...rest }: KubernetesObject): KubernetesObject => {
        const kept = Object.entries(metadata.labels ?? {}).filter(([label]) => !helmsOwn.test(label));
        return { ...rest, metadata: { ...metadata, labels: Object.fromEntries(kept) } };
      };
      const rules = readdirSync("alerts").filter((name) => name.endsWith(".rules.yml"));
      const dashboards = readdirSync("dashboards").filter((name) => name.endsWith(".json"));
      expect(plain).to.have.lengthOf(rules.length + dashboards.length);
      expect(plain).to.have.deep.members(theirs.map(withoutHelm));
    });

    it("is built by kustomize, each file of it", async () => {
      const { stdout } = await run(tools.kubectl, ["kustomize", "deploy/kubernetes"]);
      const built = objectsOf(stdout);
      expect(built.map(({ kind }) => kind)).to.deep.equal(["Namespace", "ServiceAccount", "DaemonSet"]);
      const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
      expect(stdout).to.include(`image: registry.example.org/ssh-reset-exporter:${version}\n`);
      expect(await wrongWith(tools.modules, built)).to.deep.equal([]);
      const text = readFileSync("deploy/kubernetes/kustomization.yaml", "utf8");
      const named = [...text.matchAll(/^ {2}(?:# )?- (\S+\.yaml)$/gm)].map(([, name]) => name);
      const files = readdirSync("deploy/kubernetes").filter((name) => name !== "kustomization.yaml");
      expect(named).to.have.members(files);
      for (const name of files) {
        const wrong = await wrongWith(tools.modules, objectsOf(readFileSync(join("deploy/kubernetes", name), "utf8")));
        expect(wrong, name).to.deep.equal([]);
      }
    });

    it("opens its namespace to host paths: Pod Security would refuse the pods", () => {
      const [namespace] = objectsOf(readFileSync("deploy/kubernetes/namespace.yaml", "utf8"));
      expect(namespace?.metadata.labels).to.include({ "pod-security.kubernetes.io/enforce": "privileged" });
    });
  });
});
