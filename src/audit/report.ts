/** The audit's answers in words, and the verdict over all of them. */
import type { Decision, Outcome } from "./answer.ts";
import type { Audit, FileAnswer } from "./audit.ts";
import { cutNote } from "./sshd-settings.ts";

const words: Readonly<Record<Decision, string>> = {
  pass: "passes",
  dropped: "is DROPPED without a word (the client sees a timeout)",
  reset: "is answered with a RESET (the client sees Connection refused or reset by peer)",
  rejected: "is REJECTED by ICMP (the client sees Connection refused or No route to host)",
  partly: "passes only for some client ports",
  unknown: "cannot be told",
};

export type Verdict = "yes" | "no" | "partly" | "unknown";

/** Every rule set must let everything pass. */
export function verdictOf({ answers }: Audit): Verdict {
  const decisions = answers.flatMap(outcomesOf).map(({ outcome }) => outcome.decision);
  if (decisions.some((decision) => ["dropped", "reset", "rejected"].includes(decision))) return "no";
  if (decisions.includes("partly")) return "partly";
  return decisions.length === 0 || decisions.includes("unknown") ? "unknown" : "yes";
}

interface Named {
  readonly what: string;
  readonly outcome: Outcome;
}

function outcomesOf({ connect, reply, established }: FileAnswer): Named[] {
  return [
    { what: "its SYN", outcome: connect },
    { what: "sshd's answer", outcome: reply },
    ...(established === undefined ? [] : [{ what: "what it sends later", outcome: established }]),
  ];
}

const conclusions: Readonly<Record<Verdict, string>> = {
  yes: "may reach it, and the answers get back",
  no: "may NOT reach it",
  partly: "may reach it only with some of its ports: connections fail now and then",
  unknown: "cannot be told from these files",
};

export function reportOf(found: Audit, peer: string, port: number): string {
  const lines = found.answers.flatMap((answer) => [
    `${answer.of} (${answer.file})`,
    ...outcomesOf(answer).flatMap(({ what, outcome }) => [
      `  ${what} ${words[outcome.decision]}`,
      ...outcome.rules.map((rule) => `      ${rule}`),
      ...outcome.needs.map((need) => `      needs: ${need}`),
    ]),
    ...notesOf(found, answer).map((note) => `  note: ${note}`),
    "",
  ]);
  return `${lines.join("\n")}${peer} to port ${port}: ${conclusions[verdictOf(found)]}\n`;
}

/** The answer's own notes, and which of its timeouts cut idle sessions. */
export function notesOf({ keepAlive }: Audit, { notes, idleTimeouts = [] }: FileAnswer): readonly string[] {
  return [...notes, ...idleTimeouts.flatMap((timeout) => cutNote(timeout, keepAlive) ?? [])];
}

/** One object, for other programs. */
export function jsonOf(found: Audit, peer: string, port: number): string {
  const answers = found.answers.map((answer) => {
    const { file, of, connect, reply, established } = answer;
    return { file, of, connect, reply, established, notes: notesOf(found, answer) };
  });
  return `${JSON.stringify({ peer, port, verdict: verdictOf(found), answers }, undefined, 2)}\n`;
}
