import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ConfigError } from "../../src/config/error.ts";
import { opensslCipher, readWebConfig } from "../../src/config/web-config.ts";

describe("config/web-config", () => {
  let folder: string;
  let path: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "web-config-"));
    path = join(folder, "web.yml");
    for (const name of ["a.pem", "a.key", "ca.pem"]) writeFileSync(join(folder, name), name);
  });
  after(() => rmSync(folder, { recursive: true }));
  const read = (yaml: string) => {
    writeFileSync(path, yaml);
    return readWebConfig(path);
  };
  const tls = "tls_server_config: {cert_file: a.pem, key_file: a.key";

  it("an empty file asks for nothing", () => {
    const { tls: none, users, headers } = read("");
    expect([none, users.size, headers]).to.deep.equal([undefined, 0, {}]);
  });

  it("reads certificates relative to the file, versions, ciphers and curves", () => {
    const config = read(
      `${tls}, min_version: TLS13, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256], curve_preferences: [X25519, CurveP256]}\nhttp_server_config: {headers: {X-Frame-Options: deny}}\n`,
    );
    expect(config.tls?.context).to.deep.include({
      cert: "a.pem",
      key: "a.key",
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      ciphers: "ECDHE-RSA-AES128-GCM-SHA256",
      ecdhCurve: "X25519:P-256",
    });
    expect(config.headers).to.deep.equal({ "X-Frame-Options": "deny" });
    expect(config.files).to.have.length(3);
  });

  const mistakes: readonly (readonly [string, string])[] = [
    ["tls: {}", 'unknown key "tls"; there are: tls_server_config, http_server_config, basic_auth_users'],
    ["tls_server_config: {cert_file: a.pem}", "tls_server_config needs cert_file and key_file"],
    ["tls_server_config: 7", "tls_server_config is no mapping of keys to values"],
    [
      `${tls}, client_auth_type: Maybe}`,
      'tls_server_config.client_auth_type: "Maybe" is not one of NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven, RequireAndVerifyClientCert',
    ],
    [
      `${tls}, client_auth_type: RequireAndVerifyClientCert}`,
      "client_auth_type RequireAndVerifyClientCert needs client_ca_file",
    ],
    [`${tls}, client_ca_file: ca.pem}`, "client_ca_file is of no use with client_auth_type NoClientCert"],
    [`${tls}, min_version: TLS10}`, 'tls_server_config.min_version: "TLS10" is not one of TLS12, TLS13'],
    [
      `${tls}, curve_preferences: [P1]}`,
      'tls_server_config.curve_preferences: "P1" is not one of CurveP256, CurveP384, CurveP521, X25519',
    ],
    [
      "http_server_config: {headers: {X-Mine: y}}",
      'unknown key "http_server_config.headers.X-Mine"; there are: Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, Strict-Transport-Security',
    ],
    [
      "basic_auth_users: {alice: secret}",
      `basic_auth_users.alice is no bcrypt hash ($2a$, $2b$ or $2y$); make one with: htpasswd -nBC 10 "" | tr -d ':\\n'`,
    ],
  ];
  for (const [yaml, message] of mistakes) {
    it(`refuses ${yaml.slice(0, 70)}`, () => {
      expect(() => read(yaml))
        .to.throw(ConfigError)
        .with.property("message", `${path}: ${message}`);
    });
  }

  it("names a certificate that cannot be read", () => {
    expect(() => read("tls_server_config: {cert_file: none.pem, key_file: a.key}"))
      .to.throw(ConfigError)
      .with.property("message")
      .that.includes(`${path}: tls_server_config.cert_file: cannot read "${join(folder, "none.pem")}": ENOENT`);
  });

  it("translates Go's names of ciphers", () => {
    expect(opensslCipher("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256")).to.equal("ECDHE-ECDSA-CHACHA20-POLY1305");
    expect(opensslCipher("TLS_RSA_WITH_AES_256_GCM_SHA384")).to.equal("AES256-GCM-SHA384");
    expect(opensslCipher("TLS_AES_128_GCM_SHA256")).to.equal("TLS_AES_128_GCM_SHA256");
  });
});
