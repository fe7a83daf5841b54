import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { ConfigError } from "../../src/config/error.ts";
import { helpText } from "../../src/config/help.ts";
import { parseListenAddress } from "../../src/config/listen-address.ts";
import { loadConfig } from "../../src/config/load.ts";
import { optionTable } from "../../src/config/options.ts";

const collectors = [
  { name: "conntrack", summary: "Connection tracking.", enabled: true },
  { name: "reset_ttl", summary: "TTL of resets.", enabled: false },
];
const load = (...args: string[]) => loadConfig(args, collectors);

describe("config/load", () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "config-"));
  });
  after(() => rmSync(folder, { recursive: true }));
  const withFile = (yaml: string, ...args: string[]) => {
    const path = join(folder, "config.yml");
    writeFileSync(path, yaml);
    return load(`--config.file=${path}`, ...args);
  };

  it("gives the defaults when nothing is said", () => {
    const { config, checkOnly } = load();
    expect(checkOnly).to.equal(false);
    expect(config["web.listen-address"]).to.deep.equal([":10922"]);
    expect(config["source.journal"]).to.equal(undefined);
    expect(config.collectors).to.deep.equal(["conntrack"]);
  });

  it("reads values after = and after a space, repeatable flags, switches and their negation", () => {
    const { config } = load(
      "--source.logfile",
      "/a",
      "--source.logfile=/b",
      "--no-source.journal",
      "--source.kmsg",
      "--no-collector.conntrack",
      "--collector.reset_ttl",
      "--sshd.port=22",
      "--sshd.port=2222",
      "--source.from-beginning",
    );
    expect(config["source.logfile"]).to.deep.equal(["/a", "/b"]);
    expect(config["source.journal"]).to.equal(false);
    expect(config["source.kmsg"]).to.equal(true);
    expect(config["source.from-beginning"]).to.equal(true);
    expect(config["sshd.port"]).to.deep.equal([22, 2222]);
    expect(config.collectors).to.deep.equal(["reset_ttl"]);
  });

  it("reads the file with dotted and with nested keys, and lets flags win", () => {
    const yaml =
      "web:\n  listen-address: 127.0.0.1:1\nlog.level: debug\nsource: {logfile: [/x, /y], journal: false}\ncollector.reset_ttl: true\n";
    const { config } = withFile(yaml, "--log.level=warn");
    expect(config["web.listen-address"]).to.deep.equal(["127.0.0.1:1"]);
    expect(config["log.level"]).to.equal("warn");
    expect(config["source.logfile"]).to.deep.equal(["/x", "/y"]);
    expect(config["source.journal"]).to.equal(false);
    expect(config.collectors).to.deep.equal(["conntrack", "reset_ttl"]);
  });

  it("takes an empty file as no settings", () => {
    expect(withFile("# nothing\n").config["log.level"]).to.equal("info");
  });

  const badFlags: readonly (readonly [readonly string[], string])[] = [
    [["--web.listen-adress=:1"], "unknown flag --web.listen-adress; did you mean --web.listen-address?"],
    [["--no-source.jurnal"], "unknown flag --no-source.jurnal; did you mean --source.journal?"],
    [["--zzz"], "unknown flag --zzz"],
    [["surprise"], 'unexpected argument "surprise"; flags start with --, see --help'],
    [["--state.directory"], "--state.directory needs a value: PATH"],
    [["--log.level=loud"], '--log.level: "loud" is not one of debug, info, warn, error'],
    [["--peers.prefix-length=16"], "--peers.prefix-length: 16 is not a whole number between 32 and 128"],
    [["--peers.prefix-length=x"], '--peers.prefix-length: "x" is not a whole number between 32 and 128'],
    [["--sshd.port=65536"], "--sshd.port: 65536 is not a whole number between 1 and 65535"],
    [["--source.journal=maybe"], '--source.journal: "maybe" is neither true nor false'],
    [["--no-source.journal=true"], '--no-source.journal takes no value, got "true"'],
    [["--web.listen-address=10922"], '--web.listen-address: "10922" is not :PORT, HOST:PORT or [IPV6]:PORT'],
    [["--web.listen-address=:65536"], '--web.listen-address: port 65536 in ":65536" is not between 0 and 65535'],
    [["--web.listen-address=[x]:1"], '--web.listen-address: "x" in "[x]:1" is no IP address'],
    [["--web.telemetry-path=metrics"], '--web.telemetry-path: "metrics" is not a path of its own such as /metrics'],
    [
      ["--web.telemetry-path=/style.css"],
      '--web.telemetry-path: "/style.css" is not a path of its own such as /metrics',
    ],
    [
      ["--web.runbook-base=runbooks"],
      '--web.runbook-base: "runbooks" is no URL such as https://runbooks.example.org/ssh',
    ],
    [
      ["--web.show-evidence"],
      "--web.show-evidence shows log lines: it needs --web.config.file with users or client certificates",
    ],
    [
      ["--web.show-evidence", "--web.config.file=/x", "--peers.hash"],
      "--web.show-evidence shows addresses and --peers.hash hides them: give one of them",
    ],
    [["--peers.proxy=lb.example"], '--peers.proxy: "lb.example" is no IP address'],
    [
      ["--source.journal.directory=/a", "--source.journal.file=/b"],
      "--source.journal.directory and --source.journal.file exclude each other",
    ],
    [
      ["--source.haproxy-log=journal", "--source.haproxy-log=/var/log/haproxy.log"],
      "--source.haproxy-log=journal and a file of it would be counted twice: give one of them",
    ],
    [
      ["--config.file=/nonexistent.yml"],
      "--config.file: cannot read \"/nonexistent.yml\": ENOENT: no such file or directory, open '/nonexistent.yml'",
    ],
  ];
  for (const [args, message] of badFlags) {
    it(`refuses ${args.join(" ")}`, () => {
      expect(() => load(...args))
        .to.throw(ConfigError)
        .with.property("message", message);
    });
  }

  const badFiles: readonly (readonly [string, string])[] = [
    ["web:\n  listen-adress: x\n", 'unknown key "web.listen-adress"; did you mean web.listen-address?'],
    ["log.level: [info]\n", 'log.level: ["info"] is not a text'],
    ["log.level: loud\n", 'log.level: "loud" is not one of debug, info, warn, error'],
    ["source.journal: 'yes'\n", 'source.journal: "yes" is neither true nor false'],
    ["peers.prefix-length: 12.5\n", "peers.prefix-length: 12.5 is not a whole number between 32 and 128"],
    ["web.telemetry-path: /m\nweb: {telemetry-path: /n}\n", 'key "web.telemetry-path" is given twice'],
    ["- a\n", 'expected keys such as "web.listen-address", got ["a"]'],
  ];
  for (const [yaml, message] of badFiles) {
    it(`refuses the file ${JSON.stringify(yaml)}`, () => {
      expect(() => withFile(yaml))
        .to.throw(ConfigError)
        .with.property("message")
        .that.satisfies((text: string) => text.endsWith(`config.yml: ${message}`));
    });
  }

  it("quotes the line of a YAML mistake", () => {
    expect(() => withFile("a: [1\n")).to.throw(ConfigError, /config\.yml: .* at line 2/s);
  });
});

describe("config/listen-address", () => {
  it("reads the three forms", () => {
    expect(parseListenAddress(":10922")).to.deep.equal({ host: undefined, port: 10922 });
    expect(parseListenAddress("localhost:0")).to.deep.equal({ host: "localhost", port: 0 });
    expect(parseListenAddress("[::1]:80")).to.deep.equal({ host: "::1", port: 80 });
    expect(parseListenAddress("[192.0.2.1]:80")).to.deep.equal({ host: "192.0.2.1", port: 80 });
  });
});

describe("config/help", () => {
  it("names every option once, with its summary", () => {
    const text = helpText(collectors);
    for (const [name, { summary }] of optionTable(collectors)) {
      expect(text.split(`${name}`).length, name).to.be.greaterThan(1);
      expect(text, name).to.include(summary);
    }
  });
});
