import { readFileSync } from "node:fs";
import { expect } from "chai";

interface Instruction {
  readonly name: string;
  readonly rest: string;
}

function instructions(text: string): Instruction[] {
  const joined = text.replace(/^#.*\n/gm, "").replace(/\\\n/g, " ");
  return [...joined.matchAll(/^([A-Z]+)\s+(.+)$/gm)].map(([, name = "", rest = ""]) => ({ name, rest }));
}

/** What a linter of Dockerfiles would say; empty when nothing. */
function complaints(text: string): string[] {
  const all = instructions(text);
  const finalStage = all.slice(all.findLastIndex(({ name }) => name === "FROM"));
  const has = (name: string): boolean => finalStage.some((instruction) => instruction.name === name);
  const user = finalStage.findLast(({ name }) => name === "USER")?.rest ?? "root";
  const found: string[] = [];
  for (const label of ["title", "description", "licenses", "version", "revision"])
    if (!finalStage.some(({ name, rest }) => name === "LABEL" && rest.includes(`org.opencontainers.image.${label}=`)))
      found.push(`no label ${label}`);
  for (const { name, rest } of all) {
    if (name === "FROM" && !/^(scratch$|\S+:(?!latest)\S+)/.test(rest)) found.push(`FROM ${rest}: no tag, or latest`);
    if (name === "ADD") found.push("ADD: COPY says what it does");
    if (name === "COPY" && /^\.\s/.test(rest)) found.push("COPY .: name what is needed");
    if (name === "RUN" && /apt-get install/.test(rest)) {
      if (!rest.includes("--no-install-recommends")) found.push("apt-get install without --no-install-recommends");
      if (!rest.includes("rm -rf /var/lib/apt/lists")) found.push("package lists stay in the layer");
      if (!rest.includes("apt-get update")) found.push("apt-get install without update in the same layer");
    }
    if ((name === "ENTRYPOINT" || name === "CMD") && !rest.startsWith("["))
      found.push(`${name}: shell form loses signals`);
    if (name === "RUN" && /\bsudo\b|curl[^|]*\|\s*(ba)?sh/.test(rest)) found.push(`RUN ${rest.slice(0, 40)}`);
  }
  if (/^(0|root)\b/.test(user)) found.push("the final stage runs as root");
  if (!has("HEALTHCHECK")) found.push("no HEALTHCHECK");
  if (!has("ENTRYPOINT")) found.push("no ENTRYPOINT");
  return found;
}

describe("Dockerfile", () => {
  const text = readFileSync("Dockerfile", "utf8");

  it("has nothing that a linter would complain about", () => {
    expect(complaints(text)).to.deep.equal([]);
  });

  for (const [mistake, spoilt] of [
    ["root", text.replace(/^USER .*$/m, "")],
    ["no health check", text.replace(/^HEALTHCHECK .*\n.*$/m, "")],
    ["latest", text.replace("debian:bookworm-slim", "debian:latest")],
    ["recommends", text.replace("--no-install-recommends", "")],
    ["shell form", text.replace(/^ENTRYPOINT .*$/m, "ENTRYPOINT node main.js")],
    ["no licence", text.replace(/^.*image\.licenses.*\n/m, "")],
    ["everything copied", text.replace("COPY src ./src", "COPY . .")],
  ] as const) {
    it(`would be refused with this mistake: ${mistake}`, () => {
      expect(complaints(spoilt)).to.have.lengthOf(1);
    });
  }

  it("names the version of package.json", () => {
    const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
    expect(instructions(text)).to.deep.include({ name: "ARG", rest: `VERSION=${version}` });
  });

  it("takes only what the build needs into the build context", () => {
    const ignore = readFileSync(".dockerignore", "utf8").trim().split("\n");
    expect(ignore[0]).to.equal("*");
    const copied = instructions(text).filter(({ name, rest }) => name === "COPY" && !rest.startsWith("--from"));
    const wanted = copied.flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));
    expect(ignore.slice(1).map((line) => line.slice(1))).to.have.members(wanted);
  });
});
