import { execFile } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect } from "chai";
import fc from "fast-check";
import { concerns, decide, type HostsAccess, parseHostsAccess } from "../../src/collectors/hosts-access.ts";
import { debianOr, type Tool } from "../../tools/debian.ts";
import { skip } from "../../tools/skip.ts";
import { temporaryFolder } from "./fixture-host.ts";

const execute = promisify(execFile);

/** One rule set, and who asks. `name` is the client's name in the lab's /etc/hosts. */
interface Case {
  readonly allow?: string;
  readonly deny?: string;
  /** daemon (sshd) and client (10.0.0.1) where nothing else is said. */
  readonly asks?: readonly { readonly daemon?: string; readonly address?: string; readonly name?: string }[];
  readonly files?: Readonly<Record<string, string>>;
}

const someV4 = ["10.0.0.1", "10.0.1.1", "192.0.2.7", "198.51.100.255"].map((address) => ({ address }));
const someV6 = ["2001:db8::1", "2001:db8:1::1", "2001:db9::1", "::1"].map((address) => ({ address }));
const named = [
  { name: "alpha.example.net", address: "10.9.0.1" },
  { name: "beta.sub.example.net", address: "10.9.0.2" },
  { name: "gamma", address: "10.9.0.3" },
  { address: "10.9.0.9" },
];

const cases: Readonly<Record<string, Case>> = {
  "no rule": {},
  "all refused": { deny: "ALL: ALL\n" },
  "this daemon only": { deny: "sshd: ALL\n", asks: [{}, { daemon: "in.ftpd" }] },
  "another daemon": { deny: "in.ftpd: ALL\n" },
  "several daemons": { deny: "in.ftpd, sshd in.telnetd: ALL\n", asks: [{}, { daemon: "in.telnetd" }, { daemon: "x" }] },
  "case does not matter": { deny: "SSHD: all\n" },
  "allow comes first": { allow: "sshd: 10.0.0.1\n", deny: "ALL: ALL\n", asks: someV4 },
  "the first match ends the search": { deny: "sshd: 10.0.0.1: allow\nsshd: 10.0.0.1\n" },
  "an address": { deny: "sshd: 10.0.0.1\n", asks: someV4 },
  "an address prefix": { deny: "sshd: 10.0.\n", asks: someV4 },
  "a prefix of digits only": { deny: "sshd: 10.0.0\n", asks: someV4 },
  "net and mask": { deny: "sshd: 10.0.0.0/255.255.255.0\n", asks: someV4 },
  "net and prefix length": { deny: "sshd: 10.0.0.0/23\n", asks: someV4 },
  "host bits in the net": { deny: "sshd: 10.0.0.1/24\n", asks: someV4 },
  "prefix length 32": { deny: "sshd: 10.0.0.1/32\n", asks: someV4 },
  "prefix length 0": { deny: "sshd: 0.0.0.0/0\n", asks: someV4 },
  "prefix length too large": { deny: "sshd: 10.0.0.0/33\n", asks: someV4 },
  "mask 255.255.255.255": { deny: "sshd: 10.0.0.1/255.255.255.255\n", asks: someV4 },
  "mask 0.0.0.0": { deny: "sshd: 0.0.0.0/0.0.0.0\n", asks: someV4 },
  "a net that is no address": { deny: "sshd: 10.0.0/24\n", asks: someV4 },
  "an IPv6 address in brackets": { deny: "sshd: [2001:db8::1]\n", asks: someV6 },
  "an IPv6 address written long": { deny: "sshd: [2001:0db8:0:0:0:0:0:1]\n", asks: someV6 },
  "an IPv6 net": { deny: "sshd: [2001:db8::]/32\n", asks: someV6 },
  "an IPv6 net with host bits": { deny: "sshd: [2001:db8::9]/32\n", asks: someV6 },
  "an IPv6 net not on a boundary": { deny: "sshd: [2001:db8::]/47\n", asks: someV6 },
  "IPv6 prefix length 0": { deny: "sshd: [::]/0\n", asks: [...someV6, ...someV4] },
  "IPv6 without brackets": { deny: "sshd: 2001:db8::1\n", asks: someV6 },
  "a bracket that closes what was never opened": { deny: "sshd a]: 10.0.0.1: deny\nsshd: 10.0.0.2\n", asks: someV4 },
  "mixed families": { deny: "sshd: 10. [2001:db8::]/32\n", asks: [...someV4, ...someV6] },
  "EXCEPT for clients": { deny: "sshd: 10. EXCEPT 10.0.0.1\n", asks: someV4 },
  "EXCEPT for daemons": { deny: "ALL EXCEPT sshd: ALL\n", asks: [{}, { daemon: "in.ftpd" }] },
  "EXCEPT nested": { deny: "sshd: ALL EXCEPT 10. EXCEPT 10.0.1.1\n", asks: someV4 },
  "EXCEPT in both lists": {
    deny: "ALL EXCEPT in.ftpd: ALL EXCEPT 192.0.2.\n",
    asks: [...someV4, { daemon: "in.ftpd" }],
  },
  "EXCEPT first": { deny: "sshd: EXCEPT 10.0.0.1\n", asks: someV4 },
  "a comment, a blank line, spaces": { deny: "# sshd: ALL\n\n   \t\n  sshd  :  10.0.0.1  \n", asks: someV4 },
  "a comment with a continuation": { deny: "# refuse \\\nsshd: ALL\n" },
  "a comment that starts later": { deny: " # sshd: ALL\n" },
  "a rule over three lines": { deny: "sshd: \\\n 192.0.2.7 \\\n 10.0.0.1\n", asks: someV4 },
  "a continuation in a word": { deny: "sshd: 10.0.\\\n0.1\n", asks: someV4 },
  "no separator": { deny: "sshd ALL\nsshd: 192.0.2.7\n", asks: someV4 },
  "no newline at the end": { deny: "sshd: 192.0.2.7", asks: someV4 },
  "no newline at the end of hosts.allow": { allow: "sshd: 10.0.0.1", deny: "ALL: ALL\n", asks: someV4 },
  "a continuation at the end": { deny: "sshd: 192.0.2.7\\\n", asks: someV4 },
  "a line of 2046 bytes": { deny: `sshd: ${"9.9.9.9 ".repeat(300).slice(0, 2040)}\n` },
  "a line of 2047 bytes": { deny: `sshd: ${"9.9.9.9 ".repeat(300).slice(0, 2041)}\n` },
  "a long line after the one that matches": {
    allow: `sshd: 10.0.0.1\n${"x".repeat(5000)}\n`,
    deny: "ALL: ALL\n",
    asks: someV4,
  },
  "carriage returns": { deny: "sshd: 10.0.0.1\r\nsshd: 192.0.2.7\r\n", asks: someV4 },
  "wildcards in an address": { deny: "sshd: 10.?.0.*\n", asks: someV4 },
  "a star alone": { deny: "sshd: *\n", asks: [...someV4, ...someV6] },
  "wildcards in a daemon": { deny: "ss*: ALL\n", asks: [{}, { daemon: "in.ftpd" }] },
  "user at host": { deny: "sshd: ALL@10.0.0.1, root@192.0.2.7\n", asks: someV4 },
  "known user at host": { deny: "sshd: KNOWN@10.0.0.1\n" },
  "unknown user at host": { deny: "sshd: UNKNOWN@10.0.0.1\n" },
  "a list in a file": { deny: "sshd: FILE\n", files: { FILE: "10.0.0.1\n 192.0.2.0/24 \n" }, asks: someV4 },
  "a list in a file that is not there": { deny: "sshd: /nonexistent/hosts\n", asks: someV4 },
  "EXCEPT with a file": { deny: "sshd: ALL EXCEPT FILE\n", files: { FILE: "10.0.\n" }, asks: someV4 },
  "a domain": { deny: "sshd: .example.net\n", asks: named },
  "a host name": { deny: "sshd: alpha.example.net\n", asks: named },
  "a host name in capitals": { deny: "sshd: ALPHA.Example.NET\n", asks: named },
  "wildcards in a name": { deny: "sshd: *.sub.example.???\n", asks: named },
  "a local name": { deny: "sshd: LOCAL\n", asks: named },
  "a known name": { allow: "sshd: KNOWN\n", deny: "ALL: ALL\n", asks: named },
  "an unknown name": { deny: "sshd: UNKNOWN\n", asks: named },
  "a name that does not fit": { deny: "sshd: PARANOID\n", asks: named },
  "a domain but one": { deny: "sshd: .example.net EXCEPT alpha.example.net\n", asks: named },
  "option allow": { deny: "sshd: ALL: allow\n" },
  "option deny": { allow: "sshd: 10.0.0.1: deny\nsshd: ALL: allow\n", deny: "ALL: ALL\n", asks: someV4 },
  "option DENY in capitals": { allow: "sshd: ALL: DENY\n" },
  "option spawn": { allow: "sshd: ALL: spawn /bin/true\n", deny: "ALL: ALL\n" },
  "option spawn with a protected colon": { allow: "sshd: ALL: spawn echo a\\: b: deny\n" },
  "option spawn with a colon": { allow: "sshd: ALL: spawn echo a: b\n" },
  "option spawn without a command": { allow: "sshd: ALL: spawn\n" },
  "option twist": { deny: "sshd: ALL: twist /bin/echo go away\n" },
  "option twist in hosts.allow": { allow: "sshd: ALL: twist /bin/echo go away\n" },
  "option twist not at the end": { allow: "sshd: ALL: twist /bin/echo x: allow\n" },
  "option allow not at the end": { allow: "sshd: ALL: allow: keepalive\n" },
  "option severity": { allow: "sshd: ALL: severity auth.info\n", deny: "ALL: ALL\n" },
  "option severity without facility": { allow: "sshd: ALL: severity notice: allow\n" },
  "option severity that is none": { allow: "sshd: ALL: severity sometimes\n" },
  "option keepalive": { allow: "sshd: ALL: keepalive\n", deny: "ALL: ALL\n" },
  "option keepalive with a value": { allow: "sshd: ALL: keepalive 5\n" },
  "option linger": { allow: "sshd: ALL: linger 10\n", deny: "ALL: ALL\n" },
  "option linger that is no number": { allow: "sshd: ALL: linger ten\n" },
  "option nice with an equals sign": { allow: "sshd: ALL: nice=5\n", deny: "ALL: ALL\n" },
  "option nice alone": { allow: "sshd: ALL: nice\n", deny: "ALL: ALL\n" },
  "option nice that is no number": { allow: "sshd: ALL: nice x\n" },
  "option umask": { allow: "sshd: ALL: umask 022\n", deny: "ALL: ALL\n" },
  "option umask that is not octal": { allow: "sshd: ALL: umask 089\n" },
  "option rfc931": { allow: "sshd: ALL: rfc931 1\n", deny: "ALL: ALL\n" },
  "option rfc931 of no time": { allow: "sshd: ALL: rfc931 0\n" },
  "option setenv": { allow: "sshd: ALL: setenv NAME value\n", deny: "ALL: ALL\n" },
  "option banners": { allow: "sshd: ALL: banners /nonexistent\n", deny: "ALL: ALL\n" },
  "an option that is none": { allow: "sshd: ALL: alow\n" },
  "an empty option": { allow: "sshd: ALL:\n" },
  "an empty last option": { allow: "sshd: ALL: spawn /bin/true:\n" },
  "no clients": { deny: "sshd:\n" },
  "no daemons": { deny: ": ALL\n" },
};

/** Our answer, as tcpdmatch puts it. */
function ours({ allow = "", deny = "", files = {} }: Case, client: Parameters<typeof decide>[1]): string {
  const access: HostsAccess = {
    allow: parseHostsAccess(allow, "hosts.allow").rules,
    deny: parseHostsAccess(deny, "hosts.deny").rules,
    problems: [],
    readPattern: (path) => files[path],
  };
  const { verdict, option } = decide(access, client);
  if (option === "twist") return "delegated";
  return verdict === "allowed" ? "granted" : verdict;
}

describe("hosts-access against tcpdmatch", () => {
  let tcpdmatch: Tool;
  let folder = "";
  let hosts = "";

  before(async function () {
    tcpdmatch = await debianOr(this, "tcpdmatch");
    folder = temporaryFolder();
    hosts = join(folder, "etc-hosts");
    writeFileSync(hosts, named.flatMap(({ name, address }) => (name ? [`${address} ${name}\n`] : [])).join(""));
    writeFileSync(join(folder, "nsswitch.conf"), "hosts: files\n");
    // Names come from a hosts file of our own, seen in a mount namespace of our own only.
    await theirs({}, { daemon: "sshd", address: "10.0.0.1" }).catch((error) =>
      skip(this, `no mount namespace: ${error.message}`),
    );
  });

  async function theirs(
    { allow = "", deny = "" }: Case,
    ask: { daemon: string; address: string; name?: string },
  ): Promise<string> {
    writeFileSync(join(folder, "hosts.allow"), allow);
    writeFileSync(join(folder, "hosts.deny"), deny);
    const script = 'mount --bind "$1" /etc/hosts && mount --bind "$2" /etc/nsswitch.conf && exec "$3" -d "$4" "$5"';
    const nsswitch = join(folder, "nsswitch.conf");
    const args = ["-m", "sh", "-c", script, "sh", hosts, nsswitch, tcpdmatch.path, ask.daemon, ask.name ?? ask.address];
    const { stdout } = await execute("unshare", args, {
      cwd: folder,
      env: tcpdmatch.env as NodeJS.ProcessEnv,
      timeout: 10_000,
    });
    const answer = /^access: +(\w+)$/m.exec(stdout)?.[1];
    if (answer === undefined) throw new Error(`tcpdmatch said ${JSON.stringify(stdout)}`);
    return answer;
  }

  for (const [title, given] of Object.entries(cases)) {
    it(title, async () => {
      const files = Object.fromEntries(
        Object.entries(given.files ?? {}).map(([name, text]) => {
          writeFileSync(join(folder, name), text);
          return [join(folder, name), text];
        }),
      );
      const place = (text: string | undefined) => (text ?? "").replaceAll("FILE", join(folder, "FILE"));
      const rules = { allow: place(given.allow), deny: place(given.deny), files };
      for (const { daemon = "sshd", address = "10.0.0.1", name } of given.asks ?? [{}]) {
        const ask = name === undefined ? { daemon, address } : { daemon, address, name };
        const client = name === undefined ? { daemon, address } : { daemon, address, hostname: name };
        expect(ours(rules, client), JSON.stringify(ask)).to.equal(await theirs(rules, ask));
      }
    });
  }
});

describe("hosts-access", () => {
  it("names the file and line that decided", () => {
    const deny = parseHostsAccess("# nobody\nsshd: \\\n  192.0.2.0/24\nsshd: 10.0.0.1\n", "/etc/hosts.deny").rules;
    const { verdict, rule } = decide({ allow: [], deny, problems: [] }, { daemon: "sshd", address: "192.0.2.7" });
    expect([verdict, rule?.file, rule?.line]).to.deep.equal(["denied", "/etc/hosts.deny", 3]);
  });

  it("leaves the last word to a program that the rule runs", () => {
    const allow = parseHostsAccess("sshd: ALL: aclexec /usr/local/bin/check %a\n", "/etc/hosts.allow").rules;
    const decision = decide({ allow, deny: [], problems: [] }, { daemon: "sshd", address: "192.0.2.7" });
    expect(decision).to.include({ verdict: "undecided", option: "aclexec" });
  });

  it("takes a port as daemon, and an address of ours behind @", () => {
    const deny = parseHostsAccess("22: ALL\nsshd@192.0.2.1: ALL\n", "hosts.deny").rules;
    const ask = (more: object) =>
      decide({ allow: [], deny, problems: [] }, { daemon: "sshd", address: "10.0.0.1", ...more });
    expect(ask({ localPort: 22 }).rule?.line).to.equal(1);
    expect(ask({ localPort: 2222, localAddress: "192.0.2.1" }).rule?.line).to.equal(2);
    expect(ask({ localPort: 2222, localAddress: "192.0.2.2" }).verdict).to.equal("allowed");
  });

  it("gives the line of what it cannot read", () => {
    expect(parseHostsAccess("sshd: ALL\nsshd ALL\n\nsshd: 10.", "/etc/hosts.deny").problems).to.deep.equal([
      { file: "/etc/hosts.deny", line: 2, problem: 'missing ":" separator' },
      {
        file: "/etc/hosts.deny",
        line: 4,
        problem: "missing newline or line too long: everybody who comes this far is refused",
      },
    ]);
  });

  it("counts rules of this daemon only", () => {
    const { rules } = parseHostsAccess(
      "ALL: x\nin.ftpd: x\nALL EXCEPT sshd: x\nsshd@10.0.0.1: x\nss?d: x\n",
      "hosts.deny",
    );
    expect(rules.filter((rule) => concerns(rule, "sshd")).map(({ line }) => line)).to.deep.equal([1, 4, 5]);
  });

  it("reads 5,000 lines and answers within a second", () => {
    const lines = Array.from({ length: 5000 }, (_, index) => `sshd: 10.${index >> 8}.${index & 255}.0/24\n`).join("");
    const start = performance.now();
    const { rules } = parseHostsAccess(lines, "hosts.deny");
    const { rule } = decide({ allow: [], deny: rules, problems: [] }, { daemon: "sshd", address: "10.19.135.1" });
    expect(rule?.line).to.equal(5000);
    expect(performance.now() - start).to.be.below(1000);
  });

  it("never throws, whatever the files hold", () => {
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom("sshd", "ALL", " EXCEPT ", ":", "\\\n", "[", "]", "/", "@", "*", "\n", "10.0.0.1", "[::1]/8"),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const { rules } = parseHostsAccess(pieces.join(""), "hosts.deny");
        decide({ allow: rules, deny: rules, problems: [] }, { daemon: "sshd", address: "10.0.0.1" });
      }),
      { numRuns: 500 },
    );
  });
});
