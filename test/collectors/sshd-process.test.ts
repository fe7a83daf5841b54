import { chownSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { expect } from "chai";
import {
  allListenedOn,
  configPathOf,
  findSshdPorts,
  parseListenerTitle,
  parseListening,
  readListening,
  stillListening,
} from "../../src/collectors/sshd-process.ts";
import { skip } from "../../tools/skip.ts";
import { healthyHost, hostWith, pathsBelow, temporaryFolder } from "./fixture-host.ts";

const header = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const listening = (port: string, inode: number) =>
  `   0: 00000000:${port} 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 0000000000000000 100 0 0 10 0\n`;

describe("sshd-process", () => {
  it("finds the listener and its port by the sockets that it holds", async () => {
    const { ports, source, pid, held } = await findSshdPorts(pathsBelow(healthyHost));
    expect({ ports, source, pid }).to.deep.equal({ ports: [22], source: "listening", pid: 812 });
    expect(held.map(({ target }) => target)).to.deep.equal(["socket:[20311]", "socket:[20322]"]);
  });

  it("lets the flag decide, and still names the process", async () => {
    const { ports, source, pid } = await findSshdPorts(pathsBelow(healthyHost), [2222, 22]);
    expect({ ports, source, pid }).to.deep.equal({ ports: [22, 2222], source: "flag", pid: 812 });
  });

  it("knows the listener by its title where its files may not be read", async () => {
    const root = hostWith({
      "proc/net/tcp": header + listening("08AE", 7),
      "proc/99/comm": "sshd\n",
      "proc/99/cmdline": "sshd: alice [priv]\0",
      "proc/100/comm": "sshd\n",
      "proc/100/cmdline": "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0",
      "etc/ssh/sshd_config": "Port 2222\n",
    });
    const found = await findSshdPorts(pathsBelow(root));
    expect(found).to.deep.equal({ ports: [2222], source: "configuration", pid: 100, held: [], open: [2222] });
  });

  it("knows it by its title where its descriptors are listed and lead nowhere, as for root without CAP_SYS_PTRACE", async () => {
    const root = hostWith({
      "proc/net/tcp": header + listening("0016", 7),
      "proc/100/comm": "sshd\n",
      "proc/100/cmdline": "sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups\0",
      // readlink(2) fails on what is no link, as it does on one that may not be followed.
      "proc/100/fd/3": "",
    });
    expect((await findSshdPorts(pathsBelow(root))).pid).to.equal(100);
  });

  it("knows without the kernel's table that the ports are still listened on", async () => {
    const found = await findSshdPorts(pathsBelow(healthyHost));
    expect(stillListening(pathsBelow(healthyHost), found)).to.deep.equal([22, 22]);
    const root = hostWith({
      "proc/net/tcp": header + listening("0016", 7) + listening("1F90", 8),
      "proc/6/comm": "sshd\n",
      "proc/6/cmdline": "sshd: sshd [listener] 0 of 10-100 startups\0",
    });
    const titled = await findSshdPorts(pathsBelow(root));
    expect(stillListening(pathsBelow(root), titled)).to.deep.equal([22, 8080]);
    rmSync(`${root}/proc/6`, { recursive: true });
    expect(stillListening(pathsBelow(root), titled)).to.deep.equal([]);
  });

  it("passes over what another user calls sshd", async function () {
    if (process.getuid?.() !== 0) return skip(this, "needs root: a file of another user");
    const root = hostWith({
      "proc/6/comm": "sshd\n",
      "proc/6/cmdline": "sshd: sshd [listener] 0 of 10-100 startups\0",
    });
    expect(await findSshdPorts(pathsBelow(root))).to.have.property("pid", 6);
    chownSync(`${root}/proc/6`, 65_534, 65_534);
    expect(await findSshdPorts(pathsBelow(root))).to.not.have.property("pid");
  });

  it("passes over an sshd of another network namespace", async () => {
    const title = "sshd: sshd [listener] 0 of 10-100 startups\0";
    const root = hostWith({
      "proc/net/tcp": header,
      "proc/5/net/tcp": header,
      "proc/5/comm": "sshd\n",
      "proc/5/cmdline": title,
      "proc/6/comm": "sshd\n",
      "proc/6/cmdline": title,
    });
    symlinkSync("../net", `${root}/proc/6/net`);
    expect((await findSshdPorts(pathsBelow(root))).pid).to.equal(6);
  });

  it("takes 22 where nothing is known", async () => {
    expect(await findSshdPorts(pathsBelow(temporaryFolder()))).to.deep.equal({
      ports: [22],
      source: "default",
      held: [],
      open: [],
    });
  });

  it("takes 22 where the configuration is malformed", async () => {
    const root = hostWith({ "etc/ssh/sshd_config": "Port many\n" });
    expect((await findSshdPorts(pathsBelow(root))).source).to.equal("default");
  });

  it("ignores a pid file of a process that is no sshd", async () => {
    const root = hostWith({ "run/sshd.pid": "5\n", "proc/5/comm": "bash\n", "proc/6/comm": "sshd\n" });
    writeFileSync(`${root}/proc/6/cmdline`, "sshd: sshd [listener] 2 of 5-5 startups\0");
    expect((await findSshdPorts(pathsBelow(root))).pid).to.equal(6);
  });

  it("reads listening sockets up to the first that is none", () => {
    const established = listening("0016", 9).replace(" 0A ", " 01 ");
    expect(parseListening(header + listening("0016", 7) + established + listening("0017", 8), "tcp")).to.deep.equal([
      { port: 22, inode: "7" },
    ]);
  });

  it("reads the first pieces of a long table only", () => {
    const rows = Array.from({ length: 2000 }, (_, index) => listening("1F90", index)).join("");
    const root = hostWith({ "proc/net/tcp": header + rows, "proc/net/tcp6": header });
    expect(readListening(`${root}/proc`)).to.have.length(2000);
    rmSync(`${root}/proc/net/tcp`);
    expect(readListening(`${root}/proc`)).to.deep.equal([]);
  });

  it("finds ports among few and many listening sockets, in either table", () => {
    for (const count of [0, 5, 500]) {
      const rows = Array.from({ length: count }, (_, index) => listening("1F90", index)).join("");
      const files = {
        "proc/net/tcp": header + rows + listening("0016", 1),
        "proc/net/tcp6": header + listening("0017", 2),
      };
      const procfs = `${hostWith(files)}/proc`;
      expect(allListenedOn(procfs, [22])).to.equal(true);
      expect(allListenedOn(procfs, [22, 23])).to.equal(true);
      expect(allListenedOn(procfs, [22, 24])).to.equal(false);
    }
  });

  it("refuses a row that is none", () => {
    expect(() => parseListening(`${header} 0: here:16 there 0A x\n`, "/proc/net/tcp")).to.throw(
      '/proc/net/tcp: " 0: here:16 there 0A x" is no socket',
    );
  });

  it("reads the title of a listener, which says how many have not authenticated", () => {
    expect(parseListenerTitle("sshd: /usr/sbin/sshd -D [listener] 3 of 10-100 startups\0\0\0")).to.deep.equal({
      unauthenticated: 3,
      begin: 10,
      full: 100,
    });
    expect(parseListenerTitle("sshd: alice@pts/0\0")).to.equal(undefined);
    expect(parseListenerTitle("sshd: [accepted]\0")).to.equal(undefined);
    expect(parseListenerTitle("/usr/sbin/sshd\0-D\0")).to.equal(undefined);
  });

  it("finds the configuration that the listener was started with", () => {
    expect(configPathOf("sshd: /usr/sbin/sshd -D -f /etc/other [listener] 0 of 10-100 startups\0")).to.equal(
      "/etc/other",
    );
    expect(configPathOf("/usr/sbin/sshd\0-D\0-f\0/etc/other\0")).to.equal("/etc/other");
    expect(configPathOf("/usr/sbin/sshd\0-D\0")).to.equal(undefined);
  });
});
