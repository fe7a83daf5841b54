/**
 * `completion`: completion scripts for bash(1), zsh(1) (zshcompsys) and fish(1) (complete), from the lists of commands
 * and options. They are text: completing runs nothing.
 */
import { parseArgs } from "node:util";
import { type CommandName, commands, flagsAndExits } from "../config/commands.ts";
import { commandList, type Flag, flagsOf, type Offer, offerFor, offerOf } from "./command-flags.ts";

const program = "ssh-reset-exporter";

const help = `Usage: ssh-reset-exporter completion bash|zsh|fish

Prints the completion script of a shell. The Debian package brings all three.

Examples:
  source <(ssh-reset-exporter completion bash)
      For this shell only.
  ssh-reset-exporter completion fish > ~/.config/fish/completions/ssh-reset-exporter.fish
  ssh-reset-exporter completion zsh > /usr/local/share/zsh/site-functions/_ssh-reset-exporter

${flagsAndExits(commands.completion)}`;

export const completions = { bash, zsh, fish } as const;

export async function completion(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { help: { type: "boolean", short: "h" } },
    });
    const [shell = "", ...others] = positionals;
    if (values.help === true) return say(help);
    const script = new Map(Object.entries(completions)).get(shell);
    if (script === undefined) return mistake(shell === "" ? "no shell given" : `unknown shell "${shell}"`);
    if (others.length > 0) return mistake(`unexpected "${others[0]}"`);
    return say(script());
  } catch (error) {
    if (!(error instanceof TypeError && "code" in error)) throw error;
    return mistake(error.message);
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function mistake(message: string): number {
  process.stderr.write(`completion: ${message}; there are: ${Object.keys(completions).join(", ")}\n`);
  return 2;
}

const names: readonly CommandName[] = commandList.map(([name]) => name);
const single = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/** Flags that take a value and what is offered for it: one flag means the same wherever it is known. */
function valueFlags(): ReadonlyMap<string, Flag> {
  const all = commandList.flatMap(([, command]) => flagsOf(command));
  return new Map(all.filter(({ placeholder }) => placeholder !== undefined).map((flag) => [flag.flag, flag]));
}

function bash(): string {
  const offers: Readonly<Record<Exclude<Offer, object>, string>> = {
    files: '_reply -f -- "$cur"; compopt -o filenames 2>/dev/null',
    hosts: '_reply -A hostname -- "$cur"',
    groups: '_reply -g -- "$cur"',
    nothing: ":",
  };
  const offer = (what: Offer): string =>
    (typeof what === "object" ? `_reply -W ${single(what.words.join(" "))} -- "$cur"` : offers[what]).replaceAll(
      "_reply",
      "_ssh_reset_exporter_reply",
    );
  const values = new Map<string, string[]>();
  for (const flag of valueFlags().values()) {
    const action = offer(offerOf(flag));
    values.set(action, [...(values.get(action) ?? []), flag.flag]);
  }
  const typed = ({ flag, negation, placeholder }: Flag): string[] => [
    placeholder === undefined ? flag : `${flag}=`,
    ...(negation === undefined ? [] : [negation]),
  ];
  const flags = commandList.map(
    ([name, command]) => `        ${name}) words=${single(flagsOf(command).flatMap(typed).join(" "))} ;;`,
  );
  const operands = commandList.flatMap(([name, { operands }]) =>
    operands === undefined ? [] : [`        ${name}) ${offer(offerFor(operands))} ;;`],
  );
  return `# bash completion of ${program}, printed by: ${program} completion bash

_ssh_reset_exporter_reply() {
    mapfile -t COMPREPLY < <(compgen "$@")
}

_ssh_reset_exporter() {
    local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]}
    local flag='' command=serve words=''
    COMPREPLY=()
    case \${COMP_WORDS[1]} in
        ${names.join("|")}) ((COMP_CWORD > 1)) && command=\${COMP_WORDS[1]} ;;
    esac
    # "=" is a word of its own.
    if [[ $cur == = ]]; then
        flag=$prev cur=''
    elif [[ $prev == = ]]; then
        flag=\${COMP_WORDS[COMP_CWORD-2]}
    elif [[ $prev == -* && $cur != -* ]]; then
        flag=$prev
    fi
    case $flag in
${[...values].map(([action, all]) => `        ${all.join("|")}) ${action}; return ;;`).join("\n")}
    esac
    if [[ $cur == -* ]]; then
        case $command in
${flags.map((line) => `    ${line}`).join("\n")}
        esac
        _ssh_reset_exporter_reply -W "$words" -- "$cur"
        [[ \${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
        return 0
    fi
    if ((COMP_CWORD == 1)); then
        _ssh_reset_exporter_reply -W ${single(names.join(" "))} -- "$cur"
        return
    fi
    case $command in
${operands.join("\n")}
    esac
}

complete -F _ssh_reset_exporter ${program}
`;
}

function zsh(): string {
  const actions: Readonly<Record<Exclude<Offer, object>, string>> = {
    files: "_files",
    hosts: "_hosts",
    groups: "_groups",
    nothing: " ",
  };
  const action = (what: Offer): string => (typeof what === "object" ? `(${what.words.join(" ")})` : actions[what]);
  const described = (text: string): string => text.replace(/[\\[\]]/g, "\\$&");
  const specs = (flag: Flag): string[] => {
    const about = `[${described(flag.summary)}]`;
    const value = flag.placeholder === undefined ? "" : `=${about}:${flag.placeholder}:${action(offerOf(flag))}`;
    if (value !== "") return [`${flag.repeatable ? "*" : ""}${flag.flag}${value}`];
    if (flag.negation === undefined) return [`${flag.flag}${about}`];
    return [
      `(${flag.negation})${flag.flag}${about}`,
      `(${flag.flag})${flag.negation}[Off: ${described(flag.summary)}]`,
    ];
  };
  const cases = commandList.map(([name, command]) => {
    const { operands } = command;
    const rest = operands === undefined ? [] : [`*:${operands.replaceAll(":", "\\:")}:${action(offerFor(operands))}`];
    const lines = [...flagsOf(command).flatMap(specs), ...rest].map((spec) => `        ${single(spec)}`);
    return `    ${name})\n      _arguments -S \\\n${lines.join(" \\\n")}\n      ;;`;
  });
  return `#compdef ${program}
# zsh completion of ${program}, printed by: ${program} completion zsh

_${program}() {
  local command=serve
  local -a commands=(
${commandList.map(([name, { summary }]) => `    ${single(`${name}:${summary}`)}`).join("\n")}
  )
  if (( CURRENT == 2 )) && [[ $words[2] != -* ]]; then
    _describe -t commands command commands
    return
  fi
  if [[ $words[2] == (${names.join("|")}) ]]; then
    command=$words[2]
    shift words
    (( CURRENT-- ))
  fi
  case $command in
${cases.join("\n")}
  esac
}

if [[ $funcstack[1] == _${program} ]]; then
  _${program} "$@"
else
  compdef _${program} ${program}
fi
`;
}

function fish(): string {
  const quote = (text: string): string => `'${text.replace(/[\\']/g, "\\$&")}'`;
  const actions: Readonly<Record<Exclude<Offer, object>, string>> = {
    files: "-r -F",
    hosts: "-x -a '(__fish_print_hostnames)'",
    groups: "-x -a '(__fish_complete_groups)'",
    nothing: "-x",
  };
  const action = (what: Offer): string =>
    typeof what === "object" ? `-x -a ${quote(what.words.join(" "))}` : actions[what];
  const name = (flag: string): string => (flag.startsWith("--") ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`);
  const lines = commandList.flatMap(([command, entry]) => {
    const begin = `complete -c ${program} -n '__ssh_reset_exporter_is ${command}'`;
    const flags = flagsOf(entry).flatMap((flag) => {
      const value = flag.placeholder === undefined ? "" : ` ${action(offerOf(flag))}`;
      const about = ` -d ${quote(flag.summary)}`;
      return [
        `${begin} ${name(flag.flag)}${value}${about}`,
        ...(flag.negation === undefined ? [] : [`${begin} ${name(flag.negation)} -d ${quote(`Off: ${flag.summary}`)}`]),
      ];
    });
    const { operands } = entry;
    return operands === undefined
      ? flags
      : [...flags, `${begin} ${action(offerFor(operands)).replace(/^-[rx]/, "-k")}`];
  });
  return `# fish completion of ${program}, printed by: ${program} completion fish

function __ssh_reset_exporter_is
    set -l words (commandline -opc)
    if contains -- "$words[2]" ${names.join(" ")}
        test "$words[2]" = $argv[1]
    else
        test $argv[1] = serve
    end
end

function __ssh_reset_exporter_first
    test (count (commandline -opc)) -eq 1
end

complete -c ${program} -f
${commandList.map(([command, { summary }]) => `complete -c ${program} -n __ssh_reset_exporter_first -a ${command} -d ${quote(summary)}`).join("\n")}
${lines.join("\n")}
`;
}
