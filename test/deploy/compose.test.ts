/** deploy/compose.yaml through the real docker-compose, and each configuration that it mounts through its own program's check. */
import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import { parse } from "yaml";
import { debianOr } from "../../tools/debian.ts";
import { run as runTool } from "../alerts/promtool.ts";

const run = promisify(execFile);

interface Service {
  readonly image: string;
  readonly command: readonly string[] | null;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly privileged?: boolean;
  readonly network_mode?: string;
  readonly cap_drop: readonly string[];
  readonly cap_add?: readonly string[];
  readonly extra_hosts?: readonly string[];
  readonly security_opt: readonly string[];
  readonly ports?: readonly { readonly host_ip: string; readonly target: number }[];
  readonly build?: { readonly context: string };
  readonly volumes: readonly {
    readonly type: string;
    readonly source: string;
    readonly target: string;
    readonly read_only?: boolean;
  }[];
}

describe("deploy/compose.yaml", function () {
  this.timeout(120_000);
  let services: Readonly<Record<string, Service>>;
  /** A folder for each service with what it mounts of this project, where it mounts it. */
  let roots: string;
  const inside = (service: string, path: string): string => join(roots, service, path);
  const service = (name: string): Service => services[name] as Service;

  before(async function () {
    const { path, env } = await debianOr(this, "docker-compose", "sid");
    const { stdout } = await run(path, ["-f", "deploy/compose.yaml", "config", "--format", "json"], { env });
    ({ services } = JSON.parse(stdout) as { services: Record<string, Service> });
    roots = mkdtempSync(join(tmpdir(), "ssh-reset-compose-"));
    for (const [name, { volumes }] of Object.entries(services)) {
      for (const { source, target } of volumes.filter(isOurs)) {
        mkdirSync(dirname(inside(name, target)), { recursive: true });
        cpSync(source, inside(name, target), { recursive: true });
      }
    }
  });
  after(() => {
    if (roots !== undefined) rmSync(roots, { recursive: true });
  });

  /** A named volume's source is its name. */
  const isOurs = ({ source }: { readonly source: string }): boolean => source.startsWith(`${process.cwd()}/`);

  it("is what docker-compose takes", () => {
    expect(Object.keys(services)).to.have.members(["trace", "exporter", "prometheus", "alertmanager", "grafana"]);
    expect(service("exporter").build?.context).to.equal(process.cwd());
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    for (const name of ["trace", "exporter"]) expect(service(name).image).to.equal(`ssh-reset-exporter:${version}`);
  });

  it("mounts what is there", () => {
    const binds = Object.values(services).flatMap(({ volumes }) => volumes.filter(({ type }) => type === "bind"));
    const ours = binds.filter(isOurs);
    expect(ours).to.have.length.above(6);
    for (const { source, target, read_only } of ours) {
      expect(existsSync(source), source).to.equal(true);
      expect(statSync(source).isDirectory(), `${source} as ${target}`).to.equal(!/\.\w+$/.test(target));
      expect(read_only, source).to.equal(true);
    }
  });

  it("gives each only what it needs", () => {
    for (const [name, one] of Object.entries(services)) {
      expect(one.cap_drop, name).to.deep.equal(["ALL"]);
      expect(one.security_opt, name).to.deep.equal(["no-new-privileges:true"]);
      expect(one.privileged ?? false, name).to.equal(false);
      expect(one.image, name).to.match(/:(?!latest)[\w.]+$/);
      for (const { host_ip } of one.ports ?? []) expect(host_ip, name).to.equal("127.0.0.1");
    }
    expect(service("exporter"))
      .to.include({ network_mode: "host", read_only: true })
      .and.to.not.have.any.keys("user", "cap_add");
    expect(service("trace")).to.deep.include({ network_mode: "none", read_only: true, cap_add: ["CHOWN"] });
  });

  it("gives the exporter the mounts of the chart, where the chart has them", () => {
    const text = readFileSync("deploy/kubernetes/ssh-reset-exporter.yaml", "utf8");
    const { spec } = parse(text.split("\n---\n").at(-1) ?? "") as {
      spec: { template: { spec: { containers: { args: string[]; volumeMounts: { mountPath: string }[] }[] } } };
    };
    const [container] = spec.template.spec.containers;
    const { volumes, command } = service("exporter");
    expect(volumes.map(({ target }) => target)).to.have.members(
      container?.volumeMounts.map(({ mountPath }) => mountPath) ?? [],
    );
    expect(command).to.deep.equal(container?.args.filter((flag) => !flag.startsWith("--web.listen-address")));
    for (const { type, source, target } of volumes.filter(({ type }) => type === "bind"))
      expect(`${type} ${target}`).to.equal(`bind /host${source}`);
  });

  it("gives Prometheus a configuration that promtool takes, with every rule file", async function () {
    const promtool = await debianOr(this, "promtool", "sid");
    const file = inside("prometheus", "etc/prometheus/prometheus.yml");
    const { code, output } = await runTool(promtool, ["check", "config", "--lint-fatal", file]);
    expect(code, output).to.equal(0);
    const rules = readdirSync("alerts").filter((name) => name.endsWith(".rules.yml"));
    expect(output).to.include(`${rules.length} rule files found`);
    const flag = service("prometheus").command?.find((part) => part.startsWith("--config.file="));
    expect(flag).to.equal("--config.file=/etc/prometheus/prometheus.yml");
  });

  it("gives Alertmanager a configuration that amtool takes, with the texts", async function () {
    const amtool = await debianOr(this, "amtool", "sid");
    const file = inside("alertmanager", "etc/alertmanager/alertmanager.yml");
    const { code, output } = await runTool(amtool, ["check-config", file]);
    expect(code, output).to.equal(0);
    expect(output).to.include("SUCCESS");
    const { templates } = parse(readFileSync(file, "utf8")) as { templates: string[] };
    expect(templates).to.deep.equal(["templates/*.tmpl"]);
    expect(readdirSync(join(dirname(file), "templates"))).to.include.members(["email.tmpl", "text.tmpl"]);
    expect(service("alertmanager").command).to.include("--config.file=/etc/alertmanager/alertmanager.yml");
  });

  it("makes them find each other by name", () => {
    const prometheus = parse(readFileSync(inside("prometheus", "etc/prometheus/prometheus.yml"), "utf8")) as {
      alerting: { alertmanagers: { static_configs: { targets: string[] }[] }[] };
      scrape_configs: { static_configs: { targets: string[]; labels: Record<string, string> }[] }[];
    };
    expect(prometheus.alerting.alertmanagers[0]?.static_configs[0]?.targets).to.deep.equal(["alertmanager:9093"]);
    expect(prometheus.scrape_configs[0]?.static_configs[0]?.targets).to.deep.equal(["host.docker.internal:10922"]);
    expect(service("prometheus").extra_hosts?.join()).to.match(/host\.docker\.internal[=:]host-gateway/);
    const sources = parse(
      readFileSync(inside("grafana", "etc/grafana/provisioning/datasources/prometheus.yml"), "utf8"),
    ) as {
      datasources: { url: string; type: string }[];
    };
    expect(sources.datasources).to.have.lengthOf(1);
    expect(sources.datasources[0]).to.include({ url: "http://prometheus:9090", type: "prometheus" });
    expect(service("prometheus").ports?.[0]?.target).to.equal(9090);
  });

  it("puts the dashboards where Grafana is told to look", () => {
    const file = inside("grafana", "etc/grafana/provisioning/dashboards/ssh-reset-exporter.yml");
    const { providers } = parse(readFileSync(file, "utf8")) as { providers: { options: { path: string } }[] };
    const found = readdirSync(inside("grafana", providers[0]?.options.path ?? "")).filter((name) =>
      name.endsWith(".json"),
    );
    expect(found).to.have.members(["ssh-reset-exporter.json", "ssh-reset-fleet.json", "ssh-reset-host.json"]);
  });
});
