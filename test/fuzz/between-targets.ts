/** What clouds and firewalls print: flow logs, and rule sets for the audit. */
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { audit } from "../../src/audit/audit.ts";
import { AuditError } from "../../src/audit/shape.ts";
import { FlowLogDecoder } from "../../src/flow-logs/decoder.ts";
import { type Flow, FlowLogError } from "../../src/flow-logs/flow.ts";
import { allowing, must, shape, type Target } from "./target.ts";

const ports = new Set([22]);
const peer = "198.51.100.7";

function decoded(input: Buffer, cut: number): Flow[] | string {
  return allowing(() => {
    const decoder = new FlowLogDecoder(ports);
    const pieces = [input.subarray(0, cut), input.subarray(cut)];
    const flows = [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()];
    must(decoder.unreadable <= decoder.items, `${decoder.unreadable} of ${decoder.items} items unreadable`);
    return flows;
  }, FlowLogError);
}

const azure = (category: string, more: object): object => ({ records: [{ category, ...more }] });
const flowLogs = [
  `version srcaddr dstaddr srcport dstport protocol action start tcp-flags\n5 ${peer} 10.0.0.2 40000 22 6 REJECT 1700000000 2\n5 10.0.0.2 ${peer} 22 40000 6 ACCEPT 1700000000 18\n`,
  `2 123456789010 eni-1 ${peer} 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK\n`,
  `${JSON.stringify({
    timestamp: "2024-05-01T10:00:00.5Z",
    jsonPayload: {
      connection: { src_ip: peer, src_port: 40_000, dest_ip: "10.0.0.2", dest_port: 22, protocol: 6 },
      disposition: "DENIED",
      rule_details: { reference: "network:default/firewall:no-ssh" },
    },
  })}\n`,
  JSON.stringify(
    azure("NetworkSecurityGroupFlowEvent", {
      properties: {
        Version: 2,
        flows: [{ rule: "R", flows: [{ flowTuples: [`1542110377,${peer},10.0.0.4,44931,22,T,I,D,B,,,,`] }] }],
      },
    }),
  ),
  JSON.stringify(
    azure("FlowLogFlowEvent", {
      flowLogVersion: 4,
      flowRecords: {
        flows: [
          { flowGroups: [{ rule: "R", flowTuples: [`1663146003599,${peer},10.0.0.6,23956,22,6,I,B,NX,0,0,0,0`] }] },
        ],
      },
    }),
  ),
];

const printed = Object.values(
  JSON.parse(readFileSync(new URL("../fixtures/audit/packet-filters.json", import.meta.url), "utf8")) as object,
).slice(0, 40);
const ruleSets = [
  ...printed.map((value) => (typeof value === "string" ? value : JSON.stringify(value))),
  JSON.stringify({
    SecurityGroups: [
      {
        GroupId: "sg-1",
        IpPermissions: [{ IpProtocol: "tcp", FromPort: 22, ToPort: 22, IpRanges: [{ CidrIp: "198.51.100.0/24" }] }],
      },
    ],
  }),
  JSON.stringify({
    NetworkAcls: [
      {
        NetworkAclId: "acl-1",
        Entries: [
          {
            RuleNumber: 100,
            Protocol: "6",
            RuleAction: "allow",
            Egress: false,
            CidrBlock: "0.0.0.0/0",
            PortRange: { From: 22, To: 22 },
          },
          { RuleNumber: 32767, Protocol: "-1", RuleAction: "deny", Egress: true, CidrBlock: "0.0.0.0/0" },
        ],
      },
    ],
  }),
  JSON.stringify([
    {
      name: "a",
      direction: "INGRESS",
      priority: 1000,
      sourceRanges: ["0.0.0.0/0"],
      allowed: [{ IPProtocol: "tcp", ports: ["22"] }],
    },
  ]),
];

export const betweenTargets: readonly Target[] = [
  {
    name: "flow-log",
    seeds: () => flowLogs.map((text) => Buffer.from(text)),
    check(input) {
      const flows = decoded(input, input.length);
      must(JSON.stringify(flows) === JSON.stringify(decoded(input, input.length >> 1)), "in two parts it is another");
      if (typeof flows === "string") return flows;
      for (const { address, timeMs, rule = "" } of flows) {
        must(isIP(address) !== 0, `address ${address}`);
        must(Number.isFinite(timeMs), `at ${timeMs}`);
        must(rule.length <= 200, `a rule of ${rule.length}`);
      }
      return flows
        .map(({ action, direction, reset, begins }) => `${action} ${direction} ${reset} ${begins}`)
        .join(";")
        .slice(0, 200);
    },
  },
  {
    name: "audit",
    seeds: () => ruleSets.map((text) => Buffer.from(text)),
    json: true,
    check(input) {
      const files = [{ name: "rules", text: input.toString("utf8") }];
      const found = allowing(() => audit(files, { peer, port: 22 }), AuditError, "rules");
      if (typeof found === "string") return found;
      for (const { connect, reply } of found.answers)
        must(connect.decision.length > 0 && reply.decision.length > 0, "an answer that decides nothing");
      return `${shape(found.answers)} ${found.answers.map(({ connect, reply }) => `${connect.decision} ${reply.decision}`).join(";")}`.slice(
        0,
        300,
      );
    },
  },
];
