import { expect } from "chai";
import { auditFlags } from "../../src/cli/audit.ts";
import { switches, valueFlags } from "../../src/cli/diagnose.ts";
import { observeFlags } from "../../src/cli/observe.ts";
import { probeFlags } from "../../src/cli/probe.ts";
import { type Command, commands, flagsAndExits } from "../../src/config/commands.ts";
import { commandFlags } from "../../src/config/load.ts";
import { maximumIdleSeconds } from "../../src/probe/idle.ts";

type Parsed = Readonly<Record<string, { readonly type: "string" | "boolean"; readonly short?: string }>>;

/** `-4` is typed so, and listed so. */
function typed(flags: Parsed): string[] {
  return Object.entries(flags).map(([name, { type, short = "" }]) => {
    const flag = /\d/.test(short) ? `-${short}` : `--${name}`;
    return type === "string" ? `${flag}=` : flag;
  });
}

const listed = ({ flags }: Command): string[] =>
  flags.map(({ flag, placeholder }) => (placeholder === undefined ? flag : `${flag}=`));

describe("config/commands", () => {
  const accepted: Readonly<Record<keyof typeof commands, readonly string[]>> = {
    serve: commandFlags.map((name) => (name === "config.file" ? `--${name}=` : `--${name}`)),
    diagnose: [...valueFlags.map((name) => `--${name}=`), ...switches.map((name) => `--${name}`)],
    check: ["--help"],
    probe: typed(probeFlags),
    audit: typed(auditFlags),
    observe: typed(observeFlags),
    completion: ["--help"],
  };
  for (const [name, command] of Object.entries(commands) as [keyof typeof commands, Command][]) {
    it(`lists what ${name} accepts, and no more`, () => {
      expect(listed(command)).to.have.members([...accepted[name]]);
    });
  }

  it("says the longest idle time that probe takes", () => {
    expect(flagsAndExits(commands.probe)).to.include(`at most ${maximumIdleSeconds} s`);
  });

  it("writes flags with their values in a column, and what exit codes mean", () => {
    const command: Command = {
      summary: "",
      takesOptions: false,
      flags: [
        { flag: "--peer", placeholder: "ADDRESS", summary: "One." },
        { flag: "-4", summary: "Two." },
      ],
      exits: { 0: "fine", 3: "who knows" },
    };
    expect(flagsAndExits(command)).to.equal(
      "Flags:\n  --peer=ADDRESS  One.\n  -4              Two.\n\nExit code:\n  0  fine\n  3  who knows\n",
    );
  });
});
