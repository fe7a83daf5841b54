import { expect } from "chai";
import fc from "fast-check";
import { FlowLogDecoder } from "../../src/flow-logs/decoder.ts";

const ports = new Set([22]);

function decode(text: string | Buffer, pieceBytes = 1 << 20, skip = 0) {
  const decoder = new FlowLogDecoder(ports, skip);
  const bytes = Buffer.from(text as string);
  const flows = [];
  for (let at = 0; at < bytes.length; at += pieceBytes)
    flows.push(...decoder.push(bytes.subarray(at, at + pieceBytes)));
  flows.push(...decoder.end());
  return { flows, unreadable: decoder.unreadable, reason: decoder.reason, items: decoder.items };
}
const brief = (text: string) =>
  decode(text).flows.map(({ action, direction, address, reset, unanswered }) =>
    [action, direction, address, reset ? "reset" : "", unanswered ? "unanswered" : ""].filter(Boolean).join(" "),
  );

const version2 =
  "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
// From the Amazon VPC User Guide, with addresses of the documentation.
const accepted =
  "2 123456789010 eni-1235b8ca123456789 198.51.100.7 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK";
const rejected = accepted.replace("ACCEPT", "REJECT");
const answer =
  "2 123456789010 eni-1235b8ca123456789 172.31.16.21 198.51.100.7 22 20641 6 20 4249 1418530010 1418530070 ACCEPT OK";
const noData = "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA";

describe("AWS VPC flow logs", () => {
  it("in version 2 with a header", () => {
    expect(brief(`${version2}\n${accepted}\n${rejected}\n${answer}\n${noData}\n`)).to.deep.equal([
      "accept in 198.51.100.7",
      "reject in 198.51.100.7",
      "accept out 198.51.100.7",
    ]);
    expect(decode(`${version2}\n${accepted}`).flows[0]?.timeMs).to.equal(1_418_530_010_000);
  });

  it("in version 2 without a header", () => {
    expect(brief(`${rejected}\n${rejected.replace(" 22 ", " 23 ")}\n`)).to.deep.equal(["reject in 198.51.100.7"]);
  });

  it("in a custom format of version 5, with TCP flags, and names as they were given", () => {
    const header = "version srcaddr dstaddr srcport dstport protocol tcp-flags action start flow-direction"
      .split(" ")
      .map((name) => `\${${name}}`)
      .join(" ");
    const line = (flags: number) => `5 2001:db8::7 2001:db8::1 40000 22 6 ${flags} ACCEPT 1600000000 ingress`;
    expect(brief([header, line(2), line(3), line(4), line(19)].join("\n"))).to.deep.equal([
      "accept in 2001:db8::7 unanswered",
      "accept in 2001:db8::7",
      "accept in 2001:db8::7 reset",
      "accept in 2001:db8::7",
    ]);
  });

  it("leaves out other protocols on the same port", () => {
    expect(brief(`${version2}\n${accepted.replace(" 6 20", " 17 20")}\n`)).to.deep.equal([]);
  });

  it("says which fields the header lacks", () => {
    expect(() => decode("version srcaddr dstaddr srcport protocol bytes\n5 a b 1 6 1\n")).to.throw(
      "the header line lacks dstport, action",
    );
  });

  it("says that a version without a header is not known", () => {
    expect(() => decode(`7${accepted.slice(1)}\n`)).to.throw('no header line, and "7 123456789010 eni-');
  });
});

const nsg = (version: number, ...tuples: string[]) => ({
  time: "2018-11-13T12:00:35.3899262Z",
  category: "NetworkSecurityGroupFlowEvent",
  properties: {
    Version: version,
    flows: [{ rule: "UserRule_ssh", flows: [{ mac: "000D3AF87856", flowTuples: tuples }] }],
  },
});
const vnet = (version: number, ...tuples: string[]) => ({
  time: "2022-09-14T09:00:52.5625085Z",
  flowLogVersion: version,
  category: "FlowLogFlowEvent",
  flowRecords: { flows: [{ aclID: "x", flowGroups: [{ rule: "DefaultRule_DenyAllInBound", flowTuples: tuples }] }] },
});
const document = (...records: object[]) => JSON.stringify({ records }, undefined, 1);

describe("Azure's flow logs", () => {
  it("of NSGs, version 1", () => {
    const text = document(
      nsg(1, "1487282421,198.51.100.7,10.1.0.4,51529,22,T,I,D", "1487282370,198.51.100.7,10.1.0.4,61771,3389,T,I,A"),
    );
    expect(brief(text)).to.deep.equal(["reject in 198.51.100.7"]);
    expect(decode(text).flows[0]).to.include({ rule: "UserRule_ssh", timeMs: 1_487_282_421_000 });
  });

  it("of NSGs, version 2: a flow counts where it begins", () => {
    const tuple = (state: string) => `1542110377,198.51.100.7,10.0.0.4,44931,22,T,I,A,${state},,,,`;
    expect(brief(document(nsg(2, tuple("B"), tuple("C"), tuple("E"))))).to.deep.equal(["accept in 198.51.100.7"]);
  });

  it("of virtual networks", () => {
    const tuple = (state: string) => `1663146003599,198.51.100.7,10.0.0.6,23956,22,6,I,${state},NX,0,0,0,0`;
    expect(brief(document(vnet(4, tuple("B"), tuple("E"), tuple("D"))))).to.deep.equal([
      "accept in 198.51.100.7",
      "reject in 198.51.100.7",
    ]);
  });

  it("counts records of an unknown version, and reads the others", () => {
    const denied = "1487282421,198.51.100.7,10.1.0.4,51529,22,T,I,D";
    const { flows, unreadable, reason } = decode(
      document(nsg(3, denied), nsg(1, denied), vnet(9), { category: "Other" }),
    );
    expect([flows.length, unreadable]).to.deep.equal([1, 3]);
    expect(reason).to.equal('a record of unknown category "Other"');
    expect(decode(document(nsg(3, denied))).reason).to.equal("NSG flow log of unknown version 3");
    expect(decode(document(vnet(9))).reason).to.equal("VNet flow log of unknown version 9");
  });
});

const gcp = (disposition: string | undefined, more: object = {}) => ({
  logName: "projects/p/logs/compute.googleapis.com%2Ffirewall",
  timestamp: "2024-05-01T10:00:00.5Z",
  jsonPayload: {
    connection: { src_ip: "198.51.100.7", src_port: 40_000, dest_ip: "10.0.0.2", dest_port: 22, protocol: 6, ...more },
    ...(disposition && { disposition, rule_details: { reference: "network:default/firewall:no-ssh" } }),
  },
});

describe("Google Cloud's logs", () => {
  it("of firewall rules, one entry a line", () => {
    const text = [gcp("DENIED"), gcp("ALLOWED"), gcp("DENIED", { dest_port: 80 }), { textPayload: "other" }]
      .map((entry) => `${JSON.stringify(entry)}\n`)
      .join("");
    expect(brief(text)).to.deep.equal(["reject in 198.51.100.7", "accept in 198.51.100.7"]);
    expect(decode(text).flows[0]?.rule).to.equal("network:default/firewall:no-ssh");
  });

  it("of VPC flows, which only knows what passed, and of a list", () => {
    expect(brief(JSON.stringify([gcp(undefined), gcp(undefined, { src_port: 22, dest_port: 40_000 })]))).to.deep.equal([
      "accept in 198.51.100.7",
      "accept out 10.0.0.2",
    ]);
  });
});

describe("the decoder", () => {
  const azure = document(
    nsg(1, "1487282421,198.51.100.7,10.1.0.4,51529,22,T,I,D"),
    { text: 'brackets ]}[{ and \\" quotes', category: "Other" },
    vnet(4, "1663146003599,2001:db8::7,10.0.0.6,23956,22,6,I,B,NX,0,0,0,0"),
  );
  const aws = `${version2}\n${accepted}\n${noData}\n${rejected}\n`;

  for (const [name, text] of [
    ["lines", aws],
    ["records", azure],
  ] as const)
    it(`gives the same ${name} wherever the pieces are cut`, () => {
      const whole = decode(text).flows;
      expect(whole).to.have.length(2);
      fc.assert(
        fc.property(fc.integer({ min: 1, max: text.length }), (bytes) => {
          expect(decode(text, bytes).flows).to.deep.equal(whole);
        }),
        { numRuns: 60 },
      );
    });

  it("goes on where it ended", () => {
    const { items } = decode(`${version2}\n${accepted}\n`);
    expect(decode(aws, 64, items).flows.map(({ action }) => action)).to.deep.equal(["reject"]);
  });

  it("counts what nests 10,000 deep, and goes on", () => {
    const deep = `{"jsonPayload": ${"[".repeat(10_000)}${"]".repeat(10_000)}}`;
    const { flows, unreadable, reason } = decode(`${deep}\n${JSON.stringify(gcp("DENIED"))}\n`);
    expect([flows.length, unreadable, reason]).to.deep.equal([1, 1, "a record that nests deeper than 64 levels"]);
  });

  it("counts a line beyond all bounds, holding none of it, and goes on", () => {
    const line = JSON.stringify(gcp("DENIED"));
    const { flows, unreadable } = decode(`${line}\n{"${"x".repeat(5_000_000)}"}\n${line}\n`, 65_536);
    expect([flows.length, unreadable]).to.deep.equal([2, 1]);
  });

  it("counts a record of a document beyond all bounds", () => {
    const huge = { category: "x".repeat(5_000_000) };
    const denied = nsg(1, "1487282421,198.51.100.7,10.1.0.4,51529,22,T,I,D");
    expect(decode(document(huge, denied), 65_536).flows).to.have.length(1);
  });

  it("takes no address on trust", () => {
    expect(brief(`${version2}\n${accepted.replace("198.51.100.7", 'x"}')}\n`)).to.deep.equal([]);
  });
});
