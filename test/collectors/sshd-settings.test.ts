import { expect } from "chai";
import { parseConfigLines, parseTime, readSshdConfig, settingsOf } from "../../src/collectors/sshd-settings.ts";
import { healthyHost, hostWith } from "./fixture-host.ts";

const read = (text: string) => settingsOf(parseConfigLines(text, "/etc/ssh/sshd_config"));

describe("sshd-settings", () => {
  it("reads the output of sshd -T (OpenSSH 10)", () => {
    const text = `port 22
addressfamily any
listenaddress [::]:22
listenaddress 0.0.0.0:22
usepam yes
logingracetime 120
clientaliveinterval 0
clientalivecountmax 3
usedns no
tcpkeepalive yes
maxstartups 10:30:100
persourcemaxstartups none
persourcenetblocksize 32:128
persourcepenalties crash:90 authfail:5 noauth:1 grace-exceeded:10 refuseconnection:10 max:600 min:15
`;
    expect(settingsOf(parseConfigLines(text, "sshd -T"))).to.deep.equal({
      ports: [22],
      maxStartups: { begin: 10, rate: 30, full: 100 },
      perSourceMaxStartups: "none",
      perSourcePenalties: true,
      loginGraceSeconds: 120,
      clientAliveIntervalSeconds: 0,
      clientAliveCountMax: 3,
      tcpKeepAlive: true,
      useDns: false,
    });
  });

  it("takes the first value, keywords in any case, with = or quotes", () => {
    expect(
      read('MAXSTARTUPS=5\nMaxStartups 9:9:9\nLoginGraceTime "2m"\nPerSourcePenalties no\n# Port 7\n'),
    ).to.deep.equal({
      ports: [],
      maxStartups: { begin: 5, rate: 100, full: 5 },
      loginGraceSeconds: 120,
      perSourcePenalties: false,
    });
  });

  it("reads Includes where they stand, and nothing from Match on", () => {
    const { found, lines } = readSshdConfig(healthyHost);
    expect(found).to.equal(true);
    expect(settingsOf(lines)).to.include({ clientAliveIntervalSeconds: 120, loginGraceSeconds: 90 });
  });

  it("reads relative Includes, several files and patterns in order", () => {
    const root = hostWith({
      "etc/ssh/sshd_config": "Include local/[ab]?.conf /etc/ssh/other.conf missing.conf\nPort 1\n",
      "etc/ssh/local/b1.conf": "Port 3\n",
      "etc/ssh/local/a1.conf": "Port 2\nMatch all\nPort 99\n",
      "etc/ssh/local/c1.conf": "Port 98\n",
      "etc/ssh/local/.a.conf": "Port 97\n",
      "etc/ssh/other.conf": "Port 4\n",
    });
    expect(settingsOf(readSshdConfig(root).lines).ports).to.deep.equal([2, 3, 4, 1]);
  });

  it("stops at a file that includes itself", () => {
    const root = hostWith({ "etc/ssh/sshd_config": "Include sshd_config\n" });
    expect(() => readSshdConfig(root)).to.throw("/etc/ssh/sshd_config: Include nested deeper than 16");
  });

  it("has no lines where there is no file", () => {
    expect(readSshdConfig(hostWith({}))).to.deep.equal({ found: false, lines: [] });
  });

  for (const [text, ports] of [
    ["", []],
    ["Port 22\nPort 2222\n", [22, 2222]],
    ["ListenAddress 0.0.0.0\nListenAddress [::]:2200\nPort 22\n", [22, 2200]],
    ["ListenAddress 10.0.0.1:2022 rdomain blue\n", [2022]],
    ["ListenAddress ::\n", [22]],
    ["ListenAddress host.example.net:24\n", [24]],
  ] as const) {
    it(`listens on ${JSON.stringify(ports)} with ${JSON.stringify(text)}`, () =>
      expect(read(text).ports).to.deep.equal(ports));
  }

  for (const [text, message] of [
    ["Port 0\n", '/etc/ssh/sshd_config:1: "0" is no port'],
    ["\nPort ssh\n", '/etc/ssh/sshd_config:2: "ssh" is no port'],
    ["MaxStartups ten\n", '/etc/ssh/sshd_config:1: MaxStartups "ten" is not "begin:rate:full"'],
    ["LoginGraceTime soon\n", '/etc/ssh/sshd_config:1: "soon" is no time'],
    ["TCPKeepAlive maybe\n", '/etc/ssh/sshd_config:1: "maybe" is neither yes nor no'],
    ["ClientAliveCountMax -1\n", '/etc/ssh/sshd_config:1: "-1" is no count'],
  ] as const) {
    it(`refuses ${JSON.stringify(text)}`, () => expect(() => read(text)).to.throw(message));
  }

  it("reads times as sshd_config(5) has them", () => {
    expect(["600", "10m", "1h30m", "1W2d", "0", "none"].map((time) => parseTime(time, "x"))).to.deep.equal([
      600, 600, 5400, 777600, 0, 0,
    ]);
  });
});
