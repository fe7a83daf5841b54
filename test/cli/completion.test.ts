/** Completions and man page name every command and flag that --help names; what shells do with them: test/packaging. */
import { spawnSync } from "node:child_process";
import { expect } from "chai";
import { commandList, flagsOf, offerFor, sharedFlags } from "../../src/cli/command-flags.ts";
import { completions } from "../../src/cli/completion.ts";
import { manPage } from "../../src/cli/man-page.ts";
import { runExporter } from "./exporter-process.ts";

const page = manPage({ version: "1.2.3", date: "2026-11-22" });

describe("completion and man page", function () {
  this.timeout(30_000);

  it("every command takes the flags that are listed for it, in completions and man page", () => {
    for (const [name, command] of commandList) {
      for (const { flag, negation } of flagsOf(command)) {
        for (const typed of negation === undefined ? [flag] : [flag, negation]) {
          const fishName = typed.startsWith("--") ? `-l ${typed.slice(2)}` : `-s ${typed.slice(1)}`;
          expect(completions.bash(), `bash: ${name} ${typed}`).to.match(
            new RegExp(`^ +${name}\\) words='(?:[^']* )?${typed}[ =']`, "m"),
          );
          expect(completions.zsh(), `zsh: ${name} ${typed}`).to.match(new RegExp(`['*)]${typed}[[=]`));
          expect(completions.fish(), `fish: ${name} ${typed}`).to.include(
            `complete -c ssh-reset-exporter -n '__ssh_reset_exporter_is ${name}' ${fishName} `,
          );
          expect(page, `man page: ${name} ${typed}`).to.include(`\\fB${typed.replaceAll("-", "\\-")}\\fR`);
        }
      }
    }
  });

  it("an option says its choices and default on the man page", () => {
    expect(page).to.include("Least severe messages to log. One of debug, info, warn, error. Default: info.");
    expect(page.split("\n").filter((line) => line.length > 80 && !line.startsWith("\\fB"))).to.deep.equal([
      '.TH SSH\\-RESET\\-EXPORTER 8 2026-11-22 "ssh\\-reset\\-exporter 1.2.3" "System Administration"',
    ]);
  });

  it("--help lists every command", async () => {
    const { stdout } = await runExporter("--help");
    for (const [name, { summary }] of commandList) expect(stdout).to.include(`  ${name.padEnd(12)}${summary}\n`);
  });

  it("offers what a placeholder asks for", () => {
    expect(["FILE...", "PATH", "HOST[:PORT]...", "GROUP", "TIME", "a|b"].map(offerFor)).to.deep.equal([
      "files",
      "files",
      "hosts",
      "groups",
      "nothing",
      { words: ["a", "b"] },
    ]);
    expect(sharedFlags.find(({ flag }) => flag === "--sshd.port")?.repeatable).to.equal(true);
  });

  it("the script of the command is that script; mistakes end with exit code 2", async () => {
    const printed = await runExporter("completion", "bash");
    expect(printed).to.deep.equal({ code: 0, stdout: completions.bash(), stderr: "" });
    const mistakes = [["tcsh"], [], ["bash", "more"], ["--bash"]];
    for (const args of mistakes) {
      const { code, stdout, stderr } = await runExporter("completion", ...args);
      expect({ code, stdout }).to.deep.equal({ code: 2, stdout: "" });
      expect(stderr).to.match(/^completion: .*; there are: bash, zsh, fish\n$/);
    }
  });

  it("bash completes commands, flags and values, and leaves the rest alone", () => {
    const script = `${completions.bash()}
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _ssh_reset_exporter; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const complete = (...words: string[]): string[] => {
      const { stdout, stderr } = spawnSync("bash", ["-c", script, "bash", "ssh-reset-exporter", ...words], {
        encoding: "utf8",
      });
      expect(stderr).to.equal("");
      return stdout.trim().split("\n");
    };
    expect(complete("di")).to.deep.equal(["diagnose"]);
    expect(complete("diagnose", "--si")).to.deep.equal(["--since="]);
    expect(complete("audit", "--si")).to.deep.equal([""]);
    expect(complete("--no-source.j")).to.deep.equal(["--no-source.journal"]);
    expect(complete("--log.level", "=")).to.deep.equal(["debug", "info", "warn", "error"]);
    expect(complete("check", "--log.level", "=", "w")).to.deep.equal(["warn"]);
    expect(complete("check", "--log.level", "w")).to.deep.equal(["warn"]);
    expect(complete("--config.file", "=", import.meta.filename.slice(0, -3))).to.deep.equal([import.meta.filename]);
    expect(complete("observe", "trace-")).to.deep.equal(["trace-remove"]);
  });
});
