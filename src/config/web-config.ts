/**
 * `--web.config.file`: TLS and basic authentication in the format of Prometheus' exporter-toolkit
 * (docs/web-configuration.md there). Strict: what this server does not do is refused, never passed over.
 * Relative paths are relative to the file.
 */
import { readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { SecureContextOptions, SecureVersion } from "node:tls";
import { ConfigError } from "./error.ts";
import { parseYaml } from "./yaml.ts";

export const clientAuthTypes = [
  "NoClientCert",
  "RequestClientCert",
  "RequireAnyClientCert",
  "VerifyClientCertIfGiven",
  "RequireAndVerifyClientCert",
] as const;
export type ClientAuthType = (typeof clientAuthTypes)[number];

export interface WebConfig {
  readonly tls?: {
    readonly context: SecureContextOptions;
    readonly clientAuth: ClientAuthType;
    /** Subject alternative names that a verified client certificate must have one of; empty: any. */
    readonly allowedSans: readonly string[];
  };
  /** Headers of every answer. */
  readonly headers: Readonly<Record<string, string>>;
  /** User name to bcrypt hash; empty: no authentication. */
  readonly users: ReadonlyMap<string, string>;
  /** Every file that it was read from, and what changes when one of them does. */
  readonly files: readonly string[];
  readonly fingerprint: string;
}

const tlsVersions: Readonly<Record<string, SecureVersion>> = { TLS12: "TLSv1.2", TLS13: "TLSv1.3" };
const tlsKeys = [
  "cert_file",
  "key_file",
  "client_auth_type",
  "client_ca_file",
  "client_allowed_sans",
  "min_version",
  "max_version",
  "cipher_suites",
  "curve_preferences",
  "prefer_server_cipher_suites",
];
/** Those that the toolkit lets a user set, too. */
const headerNames = [
  "Content-Security-Policy",
  "X-Frame-Options",
  "X-Content-Type-Options",
  "X-XSS-Protection",
  "Strict-Transport-Security",
];
/** Go's names of curves to OpenSSL's. */
const curves: Readonly<Record<string, string>> = {
  CurveP256: "P-256",
  CurveP384: "P-384",
  CurveP521: "P-521",
  X25519: "X25519",
};

type Mapping = Readonly<Record<string, unknown>>;

/** Throws ConfigError, with the key and the value. */
export function readWebConfig(path: string): WebConfig {
  const root = mapping(parseYaml(readText(path, "--web.config.file"), path) ?? {}, path, "the file");
  known(root, ["tls_server_config", "http_server_config", "basic_auth_users"], path, "");
  const users = readUsers(root["basic_auth_users"], path);
  const headers = readHttp(root["http_server_config"], path);
  if (root["tls_server_config"] === undefined)
    return { headers, users, files: [path], fingerprint: fingerprint([path]) };
  const section = mapping(root["tls_server_config"], path, "tls_server_config");
  known(section, tlsKeys, path, "tls_server_config.");
  const tls = readTls(section, path);
  const files = [path, ...tls.files];
  return { tls, headers, users, files, fingerprint: fingerprint(files) };
}

/** Changes when a file is written or replaced; a file that cannot be looked at counts as changed. */
export function fingerprint(files: readonly string[]): string {
  return files
    .map((file) => {
      try {
        const { dev, ino, size, mtimeMs } = statSync(file);
        return `${dev} ${ino} ${size} ${mtimeMs}`;
      } catch {
        return "unreadable";
      }
    })
    .join(", ");
}

function readTls(
  section: Mapping,
  path: string,
): NonNullable<WebConfig["tls"]> & { readonly files: readonly string[] } {
  const place = (key: string) => `${path}: tls_server_config.${key}`;
  const file = (key: string) => {
    const value = section[key];
    if (value === undefined) return undefined;
    return resolve(dirname(path), text(value, place(key)));
  };
  const [certFile, keyFile, caFile] = [file("cert_file"), file("key_file"), file("client_ca_file")];
  if (certFile === undefined || keyFile === undefined) {
    throw new ConfigError(`${path}: tls_server_config needs cert_file and key_file`);
  }
  const clientAuth = oneOf(section["client_auth_type"] ?? "NoClientCert", clientAuthTypes, place("client_auth_type"));
  const verifies = clientAuth === "VerifyClientCertIfGiven" || clientAuth === "RequireAndVerifyClientCert";
  if (verifies && caFile === undefined)
    throw new ConfigError(`${path}: client_auth_type ${clientAuth} needs client_ca_file`);
  if (!verifies && caFile !== undefined) {
    throw new ConfigError(`${path}: client_ca_file is of no use with client_auth_type ${clientAuth}`);
  }
  const version = (key: string, fallback: string) =>
    tlsVersions[oneOf(section[key] ?? fallback, Object.keys(tlsVersions), place(key))] as SecureVersion;
  const suites = section["cipher_suites"];
  const preferred = section["curve_preferences"];
  return {
    clientAuth,
    allowedSans: texts(section["client_allowed_sans"] ?? [], place("client_allowed_sans")),
    files: [certFile, keyFile, ...(caFile === undefined ? [] : [caFile])],
    context: {
      cert: readText(certFile, place("cert_file")),
      key: readText(keyFile, place("key_file")),
      ...(caFile !== undefined && { ca: readText(caFile, place("client_ca_file")) }),
      minVersion: version("min_version", "TLS12"),
      maxVersion: version("max_version", "TLS13"),
      ...(suites !== undefined && { ciphers: texts(suites, place("cipher_suites")).map(opensslCipher).join(":") }),
      ...(preferred !== undefined && {
        ecdhCurve: texts(preferred, place("curve_preferences"))
          .map((name) => curves[oneOf(name, Object.keys(curves), place("curve_preferences"))])
          .join(":"),
      }),
      honorCipherOrder: section["prefer_server_cipher_suites"] !== false,
    },
  };
}

/** Go's `TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256` is OpenSSL's `ECDHE-RSA-AES128-GCM-SHA256`; TLS 1.3's names are the same. */
export function opensslCipher(name: string): string {
  const [, exchange, cipher] = /^TLS_(ECDHE_(?:RSA|ECDSA)|RSA)_WITH_(.+)$/.exec(name) ?? [];
  if (exchange === undefined || cipher === undefined) return name;
  const plain = cipher
    .replace(/AES_(\d+)/, "AES$1")
    .replace("CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305")
    .replace("_CBC", "");
  return (exchange === "RSA" ? plain : `${exchange}_${plain}`).replaceAll("_", "-");
}

function readHttp(section: unknown, path: string): Readonly<Record<string, string>> {
  if (section === undefined || section === null) return {};
  const http = mapping(section, path, "http_server_config");
  known(http, ["http2", "headers"], path, "http_server_config.");
  const headers = mapping(http["headers"] ?? {}, path, "http_server_config.headers");
  known(headers, headerNames, path, "http_server_config.headers.");
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, text(value, `${path}: http_server_config.headers.${name}`)]),
  );
}

function readUsers(section: unknown, path: string): ReadonlyMap<string, string> {
  const entries = Object.entries(mapping(section ?? {}, path, "basic_auth_users"));
  for (const [user, hash] of entries) {
    // The hash itself is not quoted: messages end up in logs.
    if (typeof hash !== "string" || !/^\$2[aby]\$(0[4-9]|1\d|2\d|3[01])\$[./A-Za-z0-9]{53}$/.test(hash)) {
      throw new ConfigError(
        `${path}: basic_auth_users.${user} is no bcrypt hash ($2a$, $2b$ or $2y$); make one with: htpasswd -nBC 10 "" | tr -d ':\\n'`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}

function readText(path: string, place: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(`${place}: cannot read "${path}": ${(error as Error).message}`);
  }
}

function mapping(value: unknown, path: string, name: string): Mapping {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Mapping;
  throw new ConfigError(`${path}: ${name} is no mapping of keys to values`);
}

function known(section: Mapping, keys: readonly string[], path: string, prefix: string): void {
  const unknown = Object.keys(section).find((key) => !keys.includes(key));
  if (unknown !== undefined)
    throw new ConfigError(`${path}: unknown key "${prefix}${unknown}"; there are: ${keys.join(", ")}`);
}

function text(value: unknown, place: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new ConfigError(`${place}: ${JSON.stringify(value)?.slice(0, 80)} is not a text`);
}

function texts(value: unknown, place: string): readonly string[] {
  if (!Array.isArray(value)) throw new ConfigError(`${place}: ${JSON.stringify(value)?.slice(0, 80)} is not a list`);
  return value.map((item) => text(item, place));
}

function oneOf<T extends string>(value: unknown, choices: readonly T[], place: string): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined)
    throw new ConfigError(`${place}: ${JSON.stringify(value)?.slice(0, 80)} is not one of ${choices.join(", ")}`);
  return found;
}
