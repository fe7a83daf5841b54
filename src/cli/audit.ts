/** `ssh-reset-exporter audit`: would these rule sets let one peer reach sshd? Reads files, sends nothing. */
import { readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { parseArgs } from "node:util";
import type { Question } from "../audit/answer.ts";
import { type AuditFile, audit as auditFiles } from "../audit/audit.ts";
import { jsonOf, reportOf, type Verdict, verdictOf } from "../audit/report.ts";
import { AuditError } from "../audit/shape.ts";
import { commands, flagsAndExits } from "../config/commands.ts";

const help = `Usage: ssh-reset-exporter audit --peer ADDRESS [flags] FILE...

May this peer reach sshd, and may the answers get back? By which rule, in which order? Reads what these
commands printed; each file is told by what it holds:
  aws ec2 describe-security-groups --group-ids sg-...     the groups of the instance
  aws ec2 describe-network-acls                           the ACL of its subnet
  aws ec2 describe-prefix-lists, describe-network-interfaces   what security groups refer to
  gcloud compute firewall-rules list --format=json
  az network nic list-effective-nsg -g GROUP -n NIC
  nft -j list ruleset                                     as root
  iptables-save, ip6tables-save                           as root
  sshd -T                                                 as root: keep-alive against the timeouts
No credentials, nothing is sent, nothing is asked of a provider.

Examples:
  nft -j list ruleset > nft.json; ssh-reset-exporter audit --peer 198.51.100.7 nft.json
  ssh-reset-exporter audit --peer 2001:db8::7 --port 2222 sg.json acl.json sshd.txt

${flagsAndExits(commands.audit)}`;

/** As parseArgs takes them. */
export const auditFlags = {
  peer: { type: "string" },
  port: { type: "string", default: "22" },
  local: { type: "string" },
  interface: { type: "string" },
  tag: { type: "string", multiple: true },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

const maxBytes = 64 * 1024 * 1024;
const exitCodes: Readonly<Record<Verdict, number>> = { yes: 0, no: 1, partly: 1, unknown: 3 };

export async function audit(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: auditFlags,
    });
    if (values.help === true) {
      process.stdout.write(help);
      return 0;
    }
    const question: Question = {
      peer: addressOf("--peer", values.peer),
      port: portOf(values.port),
      ...(values.local !== undefined && { local: addressOf("--local", values.local) }),
      ...(values.interface !== undefined && { interface: values.interface }),
      ...(values.tag !== undefined && { tags: values.tag }),
    };
    if (positionals.length === 0) throw new AuditError("no file given");
    const found = auditFiles(positionals.map(readFile), question);
    const print = values.json === true ? jsonOf : reportOf;
    process.stdout.write(print(found, question.peer, question.port));
    return exitCodes[verdictOf(found)];
  } catch (error) {
    if (!(error instanceof AuditError) && !(error instanceof TypeError && "code" in error)) throw error;
    process.stderr.write(`audit: ${error.message}\n`);
    return 2;
  }
}

function addressOf(flag: string, text: string | undefined): string {
  if (text === undefined) throw new AuditError(`${flag} is missing: whose way is to be judged?`);
  if (isIP(text) === 0) throw new AuditError(`${flag}: "${text}" is no IP address`);
  return text;
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (port < 1 || port > 65_535) throw new AuditError(`--port: "${text}" is no port: 1 to 65535`);
  return port;
}

function readFile(name: string): AuditFile {
  try {
    const { size } = statSync(name);
    if (size > maxBytes) throw new AuditError(`${name}: ${size} bytes, more than ${maxBytes}`);
    return { name, text: readFileSync(name, "utf8") };
  } catch (error) {
    if (error instanceof AuditError) throw error;
    throw new AuditError(error instanceof Error ? error.message : String(error));
  }
}
