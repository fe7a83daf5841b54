import { expect } from "chai";
import { allowList, formatTarget, parseAllowEntry, parseTarget, TargetError } from "../../src/probe/target.ts";

describe("a target", () => {
  for (const [text, host, port] of [
    ["bastion.example.com", "bastion.example.com", 22],
    ["bastion.example.com.:2222", "bastion.example.com.", 2222],
    ["192.0.2.7:65535", "192.0.2.7", 65535],
    ["2001:db8::7", "2001:db8::7", 22],
    ["[2001:db8::7]:2222", "2001:db8::7", 2222],
    ["[fe80::1%eth0]", "fe80::1%eth0", 22],
    ["my_host:22", "my_host", 22],
  ] as const) {
    it(`${text} is ${host} port ${port}`, () => expect(parseTarget(text)).to.deep.equal({ host, port }));
  }

  for (const [text, error] of [
    ["", /target "" is not HOST/],
    ["host:0", /port "0" in target "host:0" is not between 1 and 65535/],
    ["host:65536", /port "65536"/],
    ["host:", /port ""/],
    ["host:22x", /port "22x"/],
    ["host:1e3", /port "1e3"/],
    ["[::1", /is not HOST/],
    ["[1.2.3.4]:22", /"1\.2\.3\.4" in target .* is no IPv6 address/],
    ["[]:22", /is no IPv6 address/],
    ["::1:22:zz", /is not HOST/],
    ["a..b", /is no host name/],
    ["-oProxyCommand=x", /is no host name/],
    ["127.1", /is no host name/],
    ["2130706433", /is no host name/],
    ["0x7f000001", /is no host name/],
    ["user@host", /is no host name/],
    ["http://host", /port "\/\/host"/],
    ["host\n:22", /is no host name/],
    [`${"a".repeat(64)}.example`, /is no host name/],
  ] as const) {
    it(`${JSON.stringify(text)} is none`, () => expect(() => parseTarget(text)).to.throw(TargetError, error));
  }

  it("is written with brackets around IPv6", () => {
    expect(formatTarget({ host: "::1", port: 22 })).to.equal("[::1]:22");
  });
});

describe("the allow-list", () => {
  const list = (...entries: readonly string[]) => allowList(entries.map(parseAllowEntry));
  const refusal = (entries: readonly string[], target: string, address: string) =>
    list(...entries).refusal(parseTarget(target), address);

  it("is empty unless set: nothing is even resolved", () => {
    expect(list().mayResolve(parseTarget("bastion"))).to.equal(false);
    expect(refusal([], "192.0.2.1", "192.0.2.1")).to.include("not in the allow-list");
  });

  it("admits a name by name and port, in any case", () => {
    expect(refusal(["Bastion.example.com"], "bastion.EXAMPLE.com.", "192.0.2.1")).to.equal(undefined);
    expect(refusal(["bastion"], "bastion:80", "192.0.2.1")).to.include("not in the allow-list");
    expect(list("bastion").mayResolve(parseTarget("other"))).to.equal(false);
  });

  it("admits addresses by network, whatever the name", () => {
    expect(refusal(["192.0.2.0/24"], "any.name", "192.0.2.200")).to.equal(undefined);
    expect(refusal(["192.0.2.0/24"], "any.name", "192.0.3.1")).to.include("not in the allow-list");
    expect(refusal(["[2001:db8::/32]:2222"], "[2001:db8::1]:2222", "2001:db8::1")).to.equal(undefined);
    expect(refusal(["192.0.2.0/24"], "[::ffff:192.0.2.9]", "::ffff:192.0.2.9")).to.equal(undefined);
  });

  for (const address of [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "100.100.100.200",
    "168.63.129.16",
    "0.0.0.0",
    "::",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "224.0.0.1",
  ]) {
    it(`refuses ${address} although its name and the whole Internet are listed`, () => {
      expect(refusal(["metadata", "0.0.0.0/0", "[::/0]:22"], "metadata", address)).to.include(
        "is link-local, a metadata",
      );
    });
  }

  it("admits such an address where it is listed itself", () => {
    expect(refusal(["169.254.10.0/24"], "169.254.10.5", "169.254.10.5")).to.equal(undefined);
    expect(refusal(["169.254.10.0/24"], "metadata", "169.254.169.254")).to.include("link-local");
    expect(refusal(["[fe80::1]:22"], "[fe80::1%eth0]", "fe80::1%eth0")).to.equal(undefined);
  });

  for (const text of ["192.0.2.0/33", "::/129", "1.2.3/8", "192.0.2.0/24:0"]) {
    it(`quotes ${text}`, () => expect(() => parseAllowEntry(text)).to.throw(TargetError, /"/));
  }
});
