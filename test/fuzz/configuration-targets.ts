/** What users write: flags, the configuration file, the web configuration, probe targets. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectorModules } from "../../src/collectors/index.ts";
import { ConfigError } from "../../src/config/error.ts";
import { parseListenAddress } from "../../src/config/listen-address.ts";
import { loadConfig } from "../../src/config/load.ts";
import { readWebConfig } from "../../src/config/web-config.ts";
import { parseAllowEntry, parseTarget, TargetError } from "../../src/probe/target.ts";
import { allowing, shape, type Target } from "./target.ts";

const texts = (...all: readonly string[]): Buffer[] => all.map((text) => Buffer.from(text));

let folder: string | undefined;
/** A file with this content, for one look at it. */
function written(name: string, input: Buffer): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "fuzz-config-"));
    process.once("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const path = join(folder, name);
  writeFileSync(path, input);
  return path;
}

export const configurationTargets: readonly Target[] = [
  {
    name: "config-file",
    seeds: () =>
      texts(
        "web:\n  listen-address: [':10922', '[::1]:1']\n  telemetry-path: /metrics\nsshd.port: [22, 2222]\ncollector.memory: false\n",
        "peers: {proxy: [10.0.0.0/8], health-check: &a [192.0.2.1], prefix-length: 64, show: known, hash: true}\n",
        "source:\n  logfile: !!seq [/var/log/auth.log]\n  journal: false\npath.procfs: /proc\n",
      ),
    check(input) {
      const path = written("config.yml", input);
      return shape(allowing(() => loadConfig([`--config.file=${path}`], collectorModules).config, ConfigError));
    },
  },
  {
    name: "flags",
    seeds: () =>
      texts(
        "--web.listen-address=:10922\n--sshd.port=22\n--sshd.port=2222\n--no-collector.memory\n--peers.proxy=10.0.0.0/8",
        "--peers.show\nall\n--source.journal=false\n--config.check\n--path.procfs=/proc",
      ),
    check(input) {
      const args = input.toString("utf8").split("\n");
      // What a file would say has a target of its own.
      if (args.some((arg) => arg.includes("config.file"))) return "file";
      return shape(allowing(() => loadConfig(args, collectorModules).config, ConfigError));
    },
  },
  {
    name: "web-config",
    seeds: () =>
      texts(
        "tls_server_config:\n  cert_file: a.crt\n  key_file: a.key\n  client_auth_type: RequireAnyClientCert\n  min_version: TLS12\n",
        "basic_auth_users:\n  alice: $2y$10$abcdefghijklmnopqrstuv1234567890123456789012345678901\n",
        "http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: deny\n",
      ),
    check(input) {
      const path = written("web.yml", input);
      return shape(allowing(() => readWebConfig(path), ConfigError));
    },
  },
  {
    name: "addresses",
    seeds: () => texts(":9922", "[::1]:9922", "127.0.0.1:1", "192.0.2.0/24", "*.example.org:22", "[2001:db8::1]:22"),
    check(input) {
      const text = input.toString("utf8");
      return [
        allowing(() => parseListenAddress(text), ConfigError),
        allowing(() => parseTarget(text), TargetError),
        allowing(() => parseAllowEntry(text), TargetError),
      ]
        .map(shape)
        .join(";");
    },
  },
];
