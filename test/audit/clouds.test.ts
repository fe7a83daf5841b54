/** Rule sets of AWS, Google Cloud and Azure, in the form that their command lines print, with the expected answers. */
import { expect } from "chai";
import type { Decision, Question } from "../../src/audit/answer.ts";
import { type AuditFile, audit, type FileAnswer } from "../../src/audit/audit.ts";

interface CloudCase {
  readonly name: string;
  readonly document: unknown;
  /** Further files beside it. */
  readonly beside?: readonly unknown[];
  readonly question?: Partial<Question>;
  readonly connect: Decision;
  readonly reply?: Decision;
  /** Part of the deciding rule, or of what is needed. */
  readonly by?: string;
}

const fileOf = (document: unknown, index: number): AuditFile => ({
  name: `file-${index}.json`,
  text: JSON.stringify(document),
});

function answerTo({ document, beside = [], question }: CloudCase): FileAnswer {
  const [answer] = audit([document, ...beside].map(fileOf), { peer: "198.51.100.7", port: 22, ...question }).answers;
  return answer ?? expect.fail("no answer");
}

function judges(title: string, cases: readonly CloudCase[]): void {
  describe(title, () => {
    for (const cloudCase of cases)
      it(cloudCase.name, () => {
        const { connect, reply } = answerTo(cloudCase);
        expect([connect.decision, reply.decision]).to.deep.equal([cloudCase.connect, cloudCase.reply ?? "pass"]);
        const told = [...connect.rules, ...connect.needs, ...reply.rules].join("; ");
        if (cloudCase.by !== undefined) expect(told).to.include(cloudCase.by);
      });
  });
}

const tcp = (from: number, to: number, sources: object) => ({
  IpProtocol: "tcp",
  FromPort: from,
  ToPort: to,
  ...sources,
});
const range = (...prefixes: string[]) => ({ IpRanges: prefixes.map((CidrIp) => ({ CidrIp })) });
const groups = (...permissions: object[][]) => ({
  SecurityGroups: permissions.map((IpPermissions, index) => ({ GroupId: `sg-${index + 1}`, IpPermissions })),
});

judges("AWS security groups", [
  { name: "no rule", document: groups([]), connect: "dropped", by: "no rule of these groups admits it" },
  {
    name: "the peer's address",
    document: groups([tcp(22, 22, range("198.51.100.7/32"))]),
    connect: "pass",
    by: "sg-1: tcp 22-22 from 198.51.100.7/32",
  },
  { name: "the peer's network", document: groups([tcp(22, 22, range("198.51.100.0/24"))]), connect: "pass" },
  { name: "everybody", document: groups([tcp(22, 22, range("0.0.0.0/0"))]), connect: "pass" },
  { name: "another network", document: groups([tcp(22, 22, range("198.51.101.0/24"))]), connect: "dropped" },
  { name: "another port", document: groups([tcp(80, 443, range("0.0.0.0/0"))]), connect: "dropped" },
  { name: "a range of ports", document: groups([tcp(20, 25, range("0.0.0.0/0"))]), connect: "pass" },
  {
    name: "all traffic",
    document: groups([{ IpProtocol: "-1", ...range("198.51.100.0/24") }]),
    connect: "pass",
    by: "all traffic",
  },
  {
    name: "the protocol by its number",
    document: groups([{ ...tcp(22, 22, range("0.0.0.0/0")), IpProtocol: "6" }]),
    connect: "pass",
  },
  {
    name: "UDP only",
    document: groups([{ ...tcp(22, 22, range("0.0.0.0/0")), IpProtocol: "udp" }]),
    connect: "dropped",
  },
  {
    name: "the second group admits",
    document: groups([tcp(80, 80, range("0.0.0.0/0"))], [tcp(22, 22, range("198.51.100.0/24"))]),
    connect: "pass",
    by: "sg-2",
  },
  {
    name: "an IPv6 peer by an IPv4 rule",
    document: groups([tcp(22, 22, range("0.0.0.0/0"))]),
    question: { peer: "2001:db8::7" },
    connect: "dropped",
  },
  {
    name: "an IPv6 peer",
    document: groups([tcp(22, 22, { Ipv6Ranges: [{ CidrIpv6: "2001:db8::/32" }] })]),
    question: { peer: "2001:db8::7" },
    connect: "pass",
  },
  {
    name: "a prefix list that is not in the files",
    document: groups([tcp(22, 22, { PrefixListIds: [{ PrefixListId: "pl-1" }] })]),
    connect: "unknown",
    by: "describe-prefix-lists --prefix-list-ids pl-1",
  },
  {
    name: "a prefix list with the peer",
    document: groups([tcp(22, 22, { PrefixListIds: [{ PrefixListId: "pl-1" }] })]),
    beside: [{ PrefixLists: [{ PrefixListId: "pl-1", Cidrs: ["198.51.100.0/24"] }] }],
    connect: "pass",
  },
  {
    name: "a prefix list without the peer",
    document: groups([tcp(22, 22, { PrefixListIds: [{ PrefixListId: "pl-1" }] })]),
    beside: [{ PrefixLists: [{ PrefixListId: "pl-1", Cidrs: ["203.0.113.0/24"] }] }],
    connect: "dropped",
  },
  {
    name: "a group whose members are not in the files",
    document: groups([tcp(22, 22, { UserIdGroupPairs: [{ GroupId: "sg-9" }] })]),
    connect: "unknown",
    by: "Values=sg-9",
  },
  {
    name: "a member of the group",
    document: groups([tcp(22, 22, { UserIdGroupPairs: [{ GroupId: "sg-9" }] })]),
    beside: [
      {
        NetworkInterfaces: [
          { PrivateIpAddresses: [{ PrivateIpAddress: "10.0.0.5" }], Ipv6Addresses: [], Groups: [{ GroupId: "sg-9" }] },
        ],
      },
    ],
    question: { peer: "10.0.0.5" },
    connect: "pass",
  },
  {
    name: "an unknown list beside a rule that admits",
    document: groups([
      tcp(22, 22, { PrefixListIds: [{ PrefixListId: "pl-1" }] }),
      tcp(22, 22, range("198.51.100.0/24")),
    ]),
    connect: "pass",
  },
  {
    name: "ten thousand rules",
    document: groups([
      ...Array.from({ length: 10_000 }, (_, index) => tcp(22, 22, range(`10.${index >> 8}.${index & 255}.0/24`))),
      tcp(22, 22, range("198.51.100.7/32")),
    ]),
    connect: "pass",
  },
]);

const entry = (
  RuleNumber: number,
  RuleAction: string,
  CidrBlock: string,
  ports?: readonly [number, number],
  Egress = false,
  Protocol = "6",
) => ({
  RuleNumber,
  RuleAction,
  CidrBlock,
  Egress,
  Protocol,
  ...(ports && { PortRange: { From: ports[0], To: ports[1] } }),
});
const star = [
  entry(32_767, "deny", "0.0.0.0/0", undefined, false, "-1"),
  entry(32_767, "deny", "0.0.0.0/0", undefined, true, "-1"),
];
const acl = (...entries: object[]) => ({
  NetworkAcls: [{ NetworkAclId: "acl-1", Associations: [{ SubnetId: "subnet-1" }], Entries: [...entries, ...star] }],
});
const ssh = entry(100, "allow", "0.0.0.0/0", [22, 22]);

judges("AWS network ACLs", [
  {
    name: "everything in both directions",
    document: acl(
      entry(100, "allow", "0.0.0.0/0", undefined, false, "-1"),
      entry(100, "allow", "0.0.0.0/0", undefined, true, "-1"),
    ),
    connect: "pass",
  },
  { name: "answers forgotten", document: acl(ssh), connect: "pass", reply: "dropped", by: "outbound rule *" },
  {
    name: "ephemeral ports of answers",
    document: acl(ssh, entry(100, "allow", "0.0.0.0/0", [1024, 65_535], true)),
    connect: "pass",
    by: "outbound rule 100",
  },
  {
    name: "ephemeral ports of Linux only",
    document: acl(ssh, entry(100, "allow", "0.0.0.0/0", [32_768, 60_999], true)),
    connect: "pass",
    reply: "partly",
    by: "refused for client ports 61000-65535",
  },
  {
    name: "ephemeral ports, but a deny before",
    document: acl(
      ssh,
      entry(90, "deny", "0.0.0.0/0", [50_000, 50_100], true),
      entry(100, "allow", "0.0.0.0/0", [1024, 65_535], true),
    ),
    connect: "pass",
    reply: "partly",
    by: "50000-50100",
  },
  {
    name: "answers on port 22, which is not the client's",
    document: acl(ssh, entry(100, "allow", "0.0.0.0/0", [22, 22], true)),
    connect: "pass",
    reply: "dropped",
  },
  {
    name: "the lower number decides",
    document: acl(
      entry(90, "deny", "198.51.100.0/24", [22, 22]),
      ssh,
      entry(100, "allow", "0.0.0.0/0", undefined, true, "-1"),
    ),
    connect: "dropped",
    by: "inbound rule 90",
  },
  {
    name: "the order in the file does not",
    document: acl(
      ssh,
      entry(90, "deny", "198.51.100.0/24", [22, 22]),
      entry(100, "allow", "0.0.0.0/0", undefined, true, "-1"),
    ),
    connect: "dropped",
  },
  {
    name: "a deny of somebody else",
    document: acl(
      entry(90, "deny", "203.0.113.0/24", [22, 22]),
      ssh,
      entry(100, "allow", "0.0.0.0/0", undefined, true, "-1"),
    ),
    connect: "pass",
  },
  {
    name: "a rule for UDP",
    document: acl(entry(100, "allow", "0.0.0.0/0", [22, 22], false, "17")),
    connect: "dropped",
    reply: "dropped",
  },
  {
    name: "an IPv6 peer",
    document: acl({ ...entry(101, "allow", "", [22, 22]), CidrBlock: undefined, Ipv6CidrBlock: "::/0" }),
    question: { peer: "2001:db8::7" },
    connect: "pass",
    reply: "dropped",
  },
]);

const gcp = (name: string, priority: number, more: object) => ({
  name,
  priority,
  direction: "INGRESS",
  network: "https://x/networks/default",
  ...more,
});
const allow = (...ports: string[]) => ({ allowed: [{ IPProtocol: "tcp", ...(ports.length > 0 && { ports }) }] });
const deny = (...ports: string[]) => ({ denied: [{ IPProtocol: "tcp", ports }] });

judges("Google Cloud firewall rules", [
  {
    name: "implied deny",
    document: [gcp("web", 1000, { ...allow("80"), sourceRanges: ["0.0.0.0/0"] })],
    connect: "dropped",
    by: "implied",
  },
  {
    name: "SSH for everybody",
    document: [gcp("ssh", 65_534, { ...allow("22"), sourceRanges: ["0.0.0.0/0"] })],
    connect: "pass",
    by: "ssh (allow, priority 65534)",
  },
  {
    name: "a range of ports",
    document: [gcp("ssh", 1000, { ...allow("20-25", "80"), sourceRanges: ["198.51.100.0/24"] })],
    connect: "pass",
  },
  {
    name: "all ports of TCP",
    document: [gcp("tcp", 1000, { ...allow(), sourceRanges: ["198.51.100.0/24"] })],
    connect: "pass",
  },
  {
    name: "all protocols",
    document: [gcp("all", 1000, { allowed: [{ IPProtocol: "all" }], sourceRanges: ["198.51.100.0/24"] })],
    connect: "pass",
  },
  {
    name: "a deny of lower number",
    document: [
      gcp("ssh", 1000, { ...allow("22"), sourceRanges: ["0.0.0.0/0"] }),
      gcp("no", 900, { ...deny("22"), sourceRanges: ["198.51.100.0/24"] }),
    ],
    connect: "dropped",
    by: "no (deny, priority 900)",
  },
  {
    name: "a deny of the same number",
    document: [
      gcp("ssh", 1000, { ...allow("22"), sourceRanges: ["0.0.0.0/0"] }),
      gcp("no", 1000, { ...deny("22"), sourceRanges: ["0.0.0.0/0"] }),
    ],
    connect: "dropped",
  },
  { name: "a disabled rule", document: [gcp("ssh", 1000, { ...allow("22"), disabled: true })], connect: "dropped" },
  {
    name: "an egress rule",
    document: [gcp("ssh", 1000, { ...allow("22"), direction: "EGRESS", destinationRanges: ["0.0.0.0/0"] })].concat([
      gcp("web", 1000, allow("80")),
    ]),
    connect: "dropped",
  },
  {
    name: "a target tag that is not told",
    document: [gcp("ssh", 1000, { ...allow("22"), targetTags: ["bastion"] })],
    connect: "unknown",
    by: "--tag NAME",
  },
  {
    name: "a target tag of this instance",
    document: [gcp("ssh", 1000, { ...allow("22"), targetTags: ["bastion"] })],
    question: { tags: ["bastion"] },
    connect: "pass",
  },
  {
    name: "a target tag of others",
    document: [gcp("ssh", 1000, { ...allow("22"), targetTags: ["bastion"] })],
    question: { tags: ["web"] },
    connect: "dropped",
  },
  {
    name: "a source tag",
    document: [gcp("ssh", 1000, { ...allow("22"), sourceTags: ["admin"] })],
    connect: "unknown",
    by: 'network tag "admin"',
  },
  {
    name: "a source tag or the peer's range",
    document: [gcp("ssh", 1000, { ...allow("22"), sourceTags: ["admin"], sourceRanges: ["198.51.100.0/24"] })],
    connect: "pass",
  },
]);

const azure = (name: string, priority: number, access: string, more: object = {}) => ({
  name,
  priority,
  access,
  direction: "Inbound",
  protocol: "Tcp",
  sourceAddressPrefix: "*",
  destinationAddressPrefix: "*",
  destinationPortRange: "22-22",
  ...more,
});
const nsg = (...rules: object[][]) => ({
  value: rules.map((effectiveSecurityRules, index) => ({
    networkSecurityGroup: { id: `/x/networkSecurityGroups/nsg-${index + 1}` },
    association: index === 0 ? { subnet: { id: "s" } } : { networkInterface: { id: "n" } },
    effectiveSecurityRules,
  })),
});
const denyAll = azure("DenyAllInBound", 65_500, "Deny", { protocol: "All", destinationPortRange: "0-65535" });

judges("Azure network security groups", [
  { name: "the last rule denies", document: nsg([denyAll]), connect: "dropped", by: "DenyAllInBound" },
  {
    name: "SSH admitted",
    document: nsg([denyAll, azure("ssh", 100, "Allow")]),
    connect: "pass",
    by: "ssh (allow, priority 100)",
  },
  {
    name: "a deny of lower number",
    document: nsg([
      azure("ssh", 200, "Allow"),
      azure("no", 100, "Deny", { sourceAddressPrefix: "198.51.100.0/24" }),
      denyAll,
    ]),
    connect: "dropped",
    by: "no (deny",
  },
  {
    name: "an outbound rule",
    document: nsg([azure("ssh", 100, "Allow", { direction: "Outbound" }), denyAll]),
    connect: "dropped",
  },
  {
    name: "several prefixes",
    document: nsg([
      azure("ssh", 100, "Allow", {
        sourceAddressPrefix: null,
        sourceAddressPrefixes: ["10.0.0.0/8", "198.51.100.0/24"],
      }),
      denyAll,
    ]),
    connect: "pass",
  },
  {
    name: "several ranges of ports",
    document: nsg([
      azure("ssh", 100, "Allow", { destinationPortRange: null, destinationPortRanges: ["80-80", "20-30"] }),
      denyAll,
    ]),
    connect: "pass",
  },
  {
    name: "a service tag without its addresses",
    document: nsg([azure("vnet", 100, "Allow", { sourceAddressPrefix: "VirtualNetwork" }), denyAll]),
    connect: "unknown",
    by: 'service tag "VirtualNetwork"',
  },
  {
    name: "a service tag with its addresses",
    document: nsg([
      azure("vnet", 100, "Allow", {
        sourceAddressPrefix: "VirtualNetwork",
        expandedSourceAddressPrefix: ["10.0.0.0/16"],
      }),
      denyAll,
    ]),
    connect: "dropped",
  },
  {
    name: "the peer is in the service tag",
    document: nsg([
      azure("vnet", 100, "Allow", {
        sourceAddressPrefix: "VirtualNetwork",
        expandedSourceAddressPrefix: ["10.0.0.0/16"],
      }),
      denyAll,
    ]),
    question: { peer: "10.0.3.4" },
    connect: "pass",
  },
  {
    name: "a destination that is not told",
    document: nsg([azure("ssh", 100, "Allow", { destinationAddressPrefix: "10.0.0.4" }), denyAll]),
    connect: "unknown",
    by: "--local ADDRESS",
  },
  {
    name: "a destination that is this host",
    document: nsg([azure("ssh", 100, "Allow", { destinationAddressPrefix: "10.0.0.4" }), denyAll]),
    question: { local: "10.0.0.4" },
    connect: "pass",
  },
  {
    name: "an IPv6 peer and IPv4's everybody",
    document: nsg([azure("ssh", 100, "Allow", { sourceAddressPrefix: "0.0.0.0/0" }), denyAll]),
    question: { peer: "2001:db8::7" },
    connect: "dropped",
  },
]);

describe("several rule sets", () => {
  it("are judged each by itself: the subnet's group admits, the interface's does not", () => {
    const { answers } = audit([fileOf(nsg([azure("ssh", 100, "Allow")], [denyAll]), 0)], {
      peer: "198.51.100.7",
      port: 22,
    });
    expect(answers.map(({ of, connect }) => [of, connect.decision])).to.deep.equal([
      ["network security group nsg-1 of the subnet", "pass"],
      ["network security group nsg-2 of the interface", "dropped"],
    ]);
  });

  it("names peers behind NAT gateways where answers to them are not admitted", () => {
    const document = acl(ssh, entry(100, "allow", "0.0.0.0/0", [32_768, 65_535], true));
    expect(answerTo({ name: "", document, connect: "pass" }).notes.join()).to.include("NAT gateway");
  });
});
