import { expect } from "chai";
import { removalText, rulesetText } from "../../src/observe/ruleset.ts";

describe("the observing ruleset", () => {
  const text = rulesetText([22, 2222]);

  it("has no verdict but accept and return", () => {
    expect(text).to.include("policy accept;");
    expect(text).to.not.match(/\b(drop|reject|queue|redirect|dnat|snat|mark|notrack|jump|goto)\b/);
  });

  it("names its own table only", () => {
    for (const ruleset of [text, removalText])
      expect(
        new Set([...ruleset.matchAll(/^(?:delete )?table (.*?)(?: \{)?$/gm)].map(([, name]) => name)),
      ).to.deep.equal(new Set(["inet ssh_reset_exporter"]));
  });

  it("bounds every set in size and time", () => {
    const sets = [...text.matchAll(/\tset (\w+) \{([^}]*)\}/g)];
    expect(sets.map(([, name]) => name)).to.have.members(
      ["4", "6"].flatMap((family) => [`segments${family}`, `resets_own${family}`, `resets_odd${family}`]),
    );
    for (const [, , body] of sets)
      expect(body)
        .to.match(/size \d+\n/)
        .and.to.match(/timeout \d+s\n/);
  });

  it("looks at sshd's ports only", () => {
    expect(text).to.include("tcp dport != { 22, 2222 } return");
  });
});
