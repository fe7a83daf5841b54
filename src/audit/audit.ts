/**
 * Files that providers' and the host's own command lines printed, to answers for one peer. Each file is told by what it
 * holds, not by its name. Nothing is sent, nothing is asked of a provider.
 */
import { isIP } from "node:net";
import type { KeepAlive } from "../model/idle-timeouts.ts";
import type { Answer, Question } from "./answer.ts";
import { auditAzureNsg } from "./azure-nsg.ts";
import { auditGcpFirewall } from "./gcp-firewall.ts";
import { familyOf, parseIptables } from "./iptables.ts";
import { auditNetworkAcls } from "./network-acls.ts";
import { parseNft } from "./nft.ts";
import { auditPacketFilter } from "./packet-filter.ts";
import { type AwsReferences, auditSecurityGroups, membersOf, prefixListsOf } from "./security-groups.ts";
import { AuditError, isObject, type Json, type JsonObject, parseJson } from "./shape.ts";
import { keepAliveOf } from "./sshd-settings.ts";

export interface AuditFile {
  readonly name: string;
  readonly text: string;
}

export interface FileAnswer extends Answer {
  readonly file: string;
}

export interface Audit {
  readonly answers: readonly FileAnswer[];
  readonly keepAlive: KeepAlive | undefined;
}

type Content =
  | { readonly kind: "security_groups" | "network_acls" | "azure_nsg" | "nft"; readonly document: JsonObject }
  | { readonly kind: "prefix_lists" | "interfaces"; readonly document: JsonObject }
  | { readonly kind: "gcp_firewall"; readonly document: readonly Json[] }
  | { readonly kind: "iptables"; readonly text: string }
  | { readonly kind: "sshd"; readonly keepAlive: KeepAlive };

/** Throws AuditError with the file's name for one that holds nothing known, or is broken. */
export function audit(files: readonly AuditFile[], question: Question): Audit {
  const contents = files.map(({ name, text }) => ({ name, content: inFile(name, () => recognise(text)) }));
  const references = referencesOf(contents);
  const withIptables = contents.some(({ content }) => content.kind === "iptables");
  const answers = contents.flatMap(({ name, content }) =>
    inFile(name, () => answersOf(content, question, references, withIptables)).map((answer) => ({
      ...answer,
      file: name,
    })),
  );
  const keepAlive = contents.flatMap(({ content }) => (content.kind === "sshd" ? [content.keepAlive] : [])).at(0);
  return { answers, keepAlive };
}

function inFile<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof AuditError) throw new AuditError(`${name}: ${error.message}`);
    throw error;
  }
}

/** The key that only this output has, to its kind. */
const documents = {
  SecurityGroups: "security_groups",
  NetworkAcls: "network_acls",
  PrefixLists: "prefix_lists",
  NetworkInterfaces: "interfaces",
  nftables: "nft",
} as const;

function recognise(text: string): Content {
  const keepAlive = keepAliveOf(text);
  if (keepAlive !== undefined) return { kind: "sshd", keepAlive };
  if (/^\*(raw|mangle|nat|filter|security)\s*$/m.test(text)) return { kind: "iptables", text };
  if (!/^\s*[[{]/.test(text))
    throw new AuditError(
      `holds nothing that is known; it begins with ${JSON.stringify(text.slice(0, 60))}. See ssh-reset-exporter audit --help for what to give`,
    );
  const document = parseJson(text);
  if (Array.isArray(document)) return { kind: "gcp_firewall", document: document as readonly Json[] };
  if (!isObject(document)) throw new AuditError("no rule set in it");
  for (const [key, kind] of Object.entries(documents)) if (key in document) return { kind, document };
  const { value } = document;
  if (Array.isArray(value) && isObject(value[0]) && "effectiveSecurityRules" in value[0])
    return { kind: "azure_nsg", document };
  throw new AuditError(
    `no rule set in it: an object with ${Object.keys(document).slice(0, 5).join(", ") || "nothing"}`,
  );
}

function referencesOf(contents: readonly { readonly content: Content }[]): AwsReferences {
  const prefixLists = contents.flatMap(({ content }) =>
    content.kind === "prefix_lists" ? [...prefixListsOf(content.document)] : [],
  );
  const members = contents.flatMap(({ content }) =>
    content.kind === "interfaces" ? [...membersOf(content.document)] : [],
  );
  return { prefixLists: new Map(prefixLists), members: new Map(members) };
}

function answersOf(
  content: Content,
  question: Question,
  references: AwsReferences,
  withIptables: boolean,
): readonly Answer[] {
  switch (content.kind) {
    case "security_groups":
      return [auditSecurityGroups(content.document, question, references)];
    case "network_acls":
      return auditNetworkAcls(content.document, question);
    case "gcp_firewall":
      return auditGcpFirewall(content.document, question);
    case "azure_nsg":
      return auditAzureNsg(content.document, question);
    case "nft": {
      const { chains, idleTimeouts } = parseNft(content.document, withIptables);
      return [auditPacketFilter("nftables ruleset", chains, question, idleTimeouts)];
    }
    case "iptables":
      return familyOf(content.text) === isIP(question.peer)
        ? [auditPacketFilter("iptables rules", parseIptables(content.text), question, [])]
        : [];
    default:
      return [];
  }
}
