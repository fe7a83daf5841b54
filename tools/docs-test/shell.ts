/**
 * The simple commands in a piece of shell, as far as the docs use it: words by POSIX quoting (Shell Command Language, 2.2),
 * split at operators; redirections, assignments, comments and here-documents left out. Pure.
 */

/** Each command's words. */
export function simpleCommands(script: string): string[][] {
  const commands: string[][] = [];
  for (const words of split(withoutHereDocuments(script).replaceAll("\\\n", " "))) {
    const own = words.slice(words.findIndex((word) => !/^\w+=/.test(word)));
    const first = own.findIndex(
      (word) => !["do", "then", "else", "if", "while", "!", "{", "(", "time", "exec"].includes(word),
    );
    if (first >= 0 && own.length > first) commands.push(withoutSudo(own.slice(first)));
  }
  return commands.filter(([name = ""]) => name !== "" && !["for", "done", "fi", "}", ")"].includes(name));
}

/** `sudo -u USER COMMAND`, `runuser -u USER -- COMMAND`, `nice -n 15 COMMAND`: the command. */
function withoutSudo(words: string[]): string[] {
  if (!["sudo", "runuser", "nice", "timeout"].includes(words[0] ?? "")) return words;
  let rest = words.slice(1);
  if (words[0] === "timeout") rest = rest.slice(1);
  while (rest[0]?.startsWith("-")) rest = rest.slice(["-u", "-g", "-n"].includes(rest[0]) ? 2 : 1);
  return rest;
}

function withoutHereDocuments(script: string): string {
  return script.replace(/<<-?\s*(['"]?)(\w+)\1(.*)\n[\s\S]*?^\s*\2$/gm, "$3");
}

function split(script: string): string[][] {
  const commands: string[][] = [];
  let words: string[] = [];
  const token =
    /[ \t]*(?:(#[^\n]*)|(\d?(?:>>|>&|<&|>|<)\s*(?:&?\d+|"[^"]*"|'[^']*'|[^\s;&|()]+)?)|(\n|;;?|&&?|\|\|?|[()])|((?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|\$\([^()]*\)|[^\s;&|()<>'"\\])+))/gy;
  for (const [, comment, redirection, operator, word] of script.trim().matchAll(token)) {
    if (comment !== undefined || redirection !== undefined) continue;
    if (operator !== undefined) {
      if (words.length > 0) commands.push(words);
      words = [];
    } else if (word !== undefined) words.push(unquoted(word));
  }
  if (words.length > 0) commands.push(words);
  return commands;
}

function unquoted(word: string): string {
  return word.replace(
    /\\(.)|'([^']*)'|"((?:\\.|[^"\\])*)"/gs,
    (_all, escaped, single, double) => escaped ?? single ?? String(double).replace(/\\(["$`\\])/g, "$1"),
  );
}
