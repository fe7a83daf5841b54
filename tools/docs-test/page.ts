/**
 * A page of the docs as the docs' test sees it: fenced blocks, headings' anchors, links, code in the text. Markdown as
 * GitHub reads it (CommonMark; anchors as github-slugger makes them), as far as these pages use it. Pure.
 */

export interface Block {
  readonly line: number;
  readonly language: string;
  readonly text: string;
}

/** What is typed, and what the page shows below it. */
export interface Command {
  readonly line: number;
  readonly text: string;
  readonly shown: readonly string[];
}

export interface Link {
  readonly line: number;
  readonly target: string;
}

export interface Page {
  readonly blocks: readonly Block[];
  readonly anchors: ReadonlySet<string>;
  readonly links: readonly Link[];
  readonly spans: readonly { readonly line: number; readonly code: string }[];
  /** Why none of its commands is run: `> Not run here: REASON` in the text. */
  readonly notRun: string | undefined;
}

export function parsePage(markdown: string): Page {
  const blocks: Block[] = [];
  const anchors = new Map<string, number>();
  const links: Link[] = [];
  const spans: { line: number; code: string }[] = [];
  let notRun: string | undefined;
  let open: { fence: string; line: number; language: string; text: string[] } | undefined;
  for (const [index, text] of markdown.split("\n").entries()) {
    const line = index + 1;
    const fence = /^ *(`{3,})(.*)$/.exec(text);
    if (open !== undefined) {
      if (fence?.[1] === open.fence && fence[2]?.trim() === "") {
        blocks.push({ line: open.line, language: open.language, text: open.text.join("\n") });
        open = undefined;
      } else open.text.push(text);
      continue;
    }
    if (fence !== null) {
      open = { fence: fence[1] ?? "", line, language: fence[2]?.trim() ?? "", text: [] };
      continue;
    }
    const heading = /^#{1,6} (.+)$/.exec(text);
    if (heading !== null) {
      const anchor = anchorOf(heading[1] ?? "");
      const count = anchors.get(anchor) ?? 0;
      anchors.set(anchor, count + 1);
      if (count > 0) anchors.set(`${anchor}-${count}`, 1);
    }
    notRun ??= /^> Not run here: (.+)$/.exec(text)?.[1];
    const prose = text.replace(/`+([^`]+)`+/g, (_all, code: string) => {
      spans.push({ line, code: code.replaceAll("\\|", "|") });
      return "";
    });
    for (const [, target = ""] of prose.matchAll(/\]\(([^()\s]+(?:\([^()\s]*\))?)\)/g)) links.push({ line, target });
  }
  if (open !== undefined) throw new Error(`line ${open.line}: a block that does not end`);
  return { blocks, anchors: new Set(anchors.keys()), links, spans, notRun };
}

/** github-slugger: lower case, punctuation gone, spaces to dashes; the text of links and code stays. */
export function anchorOf(heading: string): string {
  return heading
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\p{M}_ -]/gu, "")
    .replaceAll(" ", "-");
}

/** Why a block is not run: its first line is `# not run here: REASON`. */
export function notRunReason({ text }: Block): string | undefined {
  return /^(?:\$ )?# not run here: (.+)/.exec(text)?.[1];
}

/**
 * The commands of a block. `console`: lines after `$ ` or `# `, with what they print below them; the lines of a command
 * go on after a backslash and in a here-document. `sh`: all of it is one command, unless it starts a server.
 */
export function commandsOf(block: Block): Command[] {
  const lines = block.text.split("\n");
  if (block.language === "sh") return [{ line: block.line + 1, text: block.text, shown: [] }];
  const commands: { line: number; text: string; shown: string[] }[] = [];
  let unfinished: string | undefined;
  for (const [index, text] of lines.entries()) {
    const last = commands.at(-1);
    if (unfinished !== undefined && last !== undefined) {
      last.text += `\n${text}`;
      if (unfinished === "\\" ? !text.endsWith("\\") : text === unfinished) unfinished = undefined;
      continue;
    }
    const typed = /^\$ (.*)$/.exec(text)?.[1];
    if (typed !== undefined) {
      commands.push({ line: block.line + 1 + index, text: typed, shown: [] });
      unfinished = typed.endsWith("\\") ? "\\" : /<<-?\s*['"]?(\w+)/.exec(typed)?.[1];
    } else if (last !== undefined) last.shown.push(text);
    else if (text.trim() !== "" && !text.startsWith("#"))
      throw new Error(`line ${block.line + 1 + index}: output before a command: "${text}"`);
  }
  for (const { shown } of commands) while (shown.at(-1)?.trim() === "") shown.pop();
  return commands;
}

/**
 * Whether a command printed what the page shows: each line in this order; in a line with a date digits by any digits, as
 * many as there are; `...` alone stands for any lines, at a line's end for its rest. Gives the first shown line that did not come.
 */
export function missingLine(shown: readonly string[], printed: string): string | undefined {
  let rest = printed.split("\n").map((line) => line.trimEnd());
  let anywhere = true;
  for (const line of shown) {
    if (line === onlyFresh) continue;
    if (line.trim() === "...") {
      anywhere = true;
      continue;
    }
    const pattern = likeIt(line.trimEnd());
    const found = rest.findIndex((each) => pattern.test(each));
    if (found < 0 || (!anywhere && found > 0)) return line;
    rest = rest.slice(found + 1);
    anywhere = false;
  }
  return undefined;
}

/** Printed only where packages are not there yet. */
const onlyFresh = "setup: npm ci";

function likeIt(line: string): RegExp {
  const literal = line.replace(/\.\.\.$/, "").replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const loose = /\d{4}-\d\d-\d\d/.test(line) ? literal.replace(/\d+/g, "\\d+") : literal;
  return new RegExp(`^${loose}${line.endsWith("...") ? ".*" : ""}$`);
}
