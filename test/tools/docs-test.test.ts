import { expect } from "chai";
import { commandProblems, spanProblems } from "../../tools/docs-test/names.ts";
import { anchorOf, commandsOf, missingLine, notRunReason, parsePage } from "../../tools/docs-test/page.ts";
import { isServer } from "../../tools/docs-test/sandbox.ts";
import { simpleCommands } from "../../tools/docs-test/shell.ts";

const fence = "```";

describe("docs:test, a page", () => {
  const page = parsePage(
    [
      "# One `code`, two",
      "Read [that](other.md#place), `sshreset_x` and ![picture](a.png).",
      "## Again",
      "## Again",
      `${fence}console`,
      "$ cat > f <<'END'",
      "$ no command",
      "END",
      "$ ls \\",
      "    -l",
      "total 4",
      "",
      `${fence}`,
      "`[no](link.md)`",
      `${fence}sh`,
      "# not run here: needs root",
      "mount x",
      `${fence}`,
    ].join("\n"),
  );

  it("has anchors as GitHub makes them", () => {
    expect([...page.anchors]).to.deep.equal(["one-code-two", "again", "again-1"]);
    expect(anchorOf("`--idle` & what [it](x.md) is: 1.5?")).to.equal("--idle--what-it-is-15");
  });

  it("has links, not those in code", () => {
    expect(page.links.map(({ target }) => target)).to.deep.equal(["other.md#place", "a.png"]);
    expect(page.spans.map(({ code }) => code)).to.include("sshreset_x");
  });

  it("has commands with what they print, over several lines too", () => {
    const [block, other] = page.blocks;
    if (block === undefined || other === undefined) throw new Error("two blocks");
    expect(commandsOf(block).map(({ line, text, shown }) => [line, text, shown])).to.deep.equal([
      [6, "cat > f <<'END'\n$ no command\nEND", []],
      [9, "ls \\\n    -l", ["total 4"]],
    ]);
    expect([notRunReason(block), notRunReason(other)]).to.deep.equal([undefined, "needs root"]);
  });

  it("refuses a block that does not end, and output before a command", () => {
    expect(() => parsePage(`${fence}sh\nls`)).to.throw("line 1: a block that does not end");
    expect(() => commandsOf({ line: 1, language: "console", text: "what is this" })).to.throw(
      'line 2: output before a command: "what is this"',
    );
  });

  it("says why a whole page is not run", () => {
    expect(parsePage("text\n\n> Not run here: needs a cluster.\n").notRun).to.equal("needs a cluster.");
  });
});

describe("docs:test, what a command printed", () => {
  const printed = "head\n2026-11-22 12:30 two\n2026-11-22 12:31 three\nend of it: 5\n";
  const cases: readonly [readonly string[], string | undefined][] = [
    [["2020-01-02 9:59 two", "2020-01-02 0:00 three"], undefined],
    [["head", "...", "end of it: 5"], undefined],
    [["head", "end of it: 5"], "end of it: 5"],
    [["end of it: 6"], "end of it: 6"],
    [["2026-11-22 12:30 ..."], undefined],
    [["2026-11-22 12:30 four"], "2026-11-22 12:30 four"],
    [["2026-11-22 12.30 two"], "2026-11-22 12.30 two"],
    [["setup: npm ci", "head"], undefined],
    [[], undefined],
  ];
  for (const [shown, missing] of cases) {
    it(`${JSON.stringify(shown)}: ${missing === undefined ? "is there" : `no "${missing}"`}`, () => {
      expect(missingLine(shown, printed)).to.equal(missing);
    });
  }
});

describe("docs:test, shell", () => {
  const cases: readonly [string, readonly (readonly string[])[]][] = [
    [
      "nft list ruleset > a.json; sshd -T >b 2>&1",
      [
        ["nft", "list", "ruleset"],
        ["sshd", "-T"],
      ],
    ],
    ["sudo -u exporter ssh-reset-exporter check --a='b c' # why", [["ssh-reset-exporter", "check", "--a=b c"]]],
    [
      "docker run -d \\\n  -v /:/host x | tee y && z",
      [["docker", "run", "-d", "-v", "/:/host", "x"], ["tee", "y"], ["z"]],
    ],
    ["cat > f <<'END'\n--foo | bar\nEND\nls -l", [["cat"], ["ls", "-l"]]],
    ["A=1 npm run kit -- --selector 'job=\"ssh\"'", [["npm", "run", "kit", "--", "--selector", 'job="ssh"']]],
    ["for f in *; do ssh-reset-exporter probe $f; done", [["ssh-reset-exporter", "probe", "$f"]]],
    ["# nothing", []],
  ];
  for (const [text, wanted] of cases) {
    it(`reads ${JSON.stringify(text)}`, () => {
      expect(simpleCommands(text)).to.deep.equal(wanted);
    });
  }

  it("knows what goes on until it is ended", () => {
    for (const text of [
      "npm start",
      "npm start   # serves",
      "ssh-reset-exporter",
      "sudo ssh-reset-exporter --sshd.port=22 --no-source.kmsg",
      'ssh-reset-exporter --state.directory="$(mktemp -d)"',
      "ssh-reset-exporter serve \\\n  --log.level=debug",
    ])
      expect(isServer(text), text).to.equal(true);
    for (const text of [
      "npm test",
      "ssh-reset-exporter --help",
      "ssh-reset-exporter check",
      "ssh-reset-exporter --config.file=x --config.check",
    ])
      expect(isServer(text), text).to.equal(false);
  });
});

describe("docs:test, names", () => {
  const cases: readonly [string, readonly string[]][] = [
    ["sshreset_sshd_up", []],
    ["sshreset_sshd_upp", ["there is no metric sshreset_sshd_upp"]],
    ['sshreset_sshd_stops_total{reason="crash"}', []],
    ["sshreset_sshd_stops_total{cause}", ["sshreset_sshd_stops_total has no label cause"]],
    ["instance:sshreset_cause_evidence:bool", []],
    ["sshreset_session_idle_at_end_seconds_bucket", []],
    ["--peers.proxy=ADDRESS", []],
    ["--peers.proxi=ADDRESS", ["there is no flag --peers.proxi"]],
    ["--no-collector.conntrack", []],
    ["--collector.NAME", []],
    ["ssh-reset-exporter diagnose --since 1h --sshd.port=22", []],
    ["ssh-reset-exporter diagnose --sinc 1h", ["diagnose has no flag --sinc"]],
    ["ssh-reset-exporter probe --sshd.port=22 HOST", ["probe has no flag --sshd.port"]],
    ["ssh-reset-exporter diagnos", ['there is no command "diagnos"']],
    ["npm run kit -- --out DIR", []],
    ["ssh-reset-exporter is ready.", []],
    ["npm run kid", ['npm has no script "kid"']],
    ["src/config/options.ts", []],
    ["src/config/option.ts", ["there is no src/config/option.ts"]],
  ];
  for (const [code, wanted] of cases) {
    it(`${code}: ${wanted[0] ?? "exists"}`, () => {
      expect(spanProblems(code)).to.deep.equal(wanted);
    });
  }

  it("knows our flags behind our image's name", () => {
    const [words = []] = simpleCommands("docker run --name x -v /:/host ssh-reset-exporter:0.1.0 --path.rootf=/host");
    expect(commandProblems(words)).to.include("serve has no flag --path.rootf");
  });
});
