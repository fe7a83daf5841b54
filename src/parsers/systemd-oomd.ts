/**
 * systemd-oomd and systemd-coredump, in their own words. Gives unit.core_dump; oomd's kill is told by PID 1 as well.
 * Texts: src/oom/oomd-util.c; src/coredump/coredump.c, whose fields COREDUMP_* the journal keeps.
 */
import { isSshdProgram, sshdProcess } from "./process.ts";
import { unitRole } from "./unit.ts";
import { noted, says } from "./wording.ts";

const coredumpMessageId = "fc2e22bc6ee647b6b90729ab34a250b1";

export const systemdOomd = [
  says({
    id: "systemd-oomd-killed",
    versions: "v247+",
    origin: "oomd-manager.c; the unit's own line counts",
    starts: ["Killed /", "Marked ", "Considered ", "Memory pressure for ", "Swap used"],
    read: () => noted,
  }),
];

export const systemdCoredump = [
  says({
    id: "systemd-coredump",
    versions: "v215+",
    origin: `coredump.c submit_coredump; MESSAGE_ID ${coredumpMessageId}`,
    starts: ["Process "],
    read({ rest, record: { journal } }) {
      // A backtrace (1f4e0a44a88649939aaea34fc6da8c95) tells the same end again.
      if (journal?.messageId !== undefined && journal.messageId !== coredumpMessageId) return noted;
      const found = /^\d{1,7} \((.{1,15})\) of user \d{1,10} dumped core\./s.exec(rest);
      if (found === null) return undefined;
      const program = journal?.coredumpExe?.replace(/^.*\//s, "") ?? found[1] ?? "";
      if (!isSshdProgram(program)) return noted;
      const unit = journal?.coredumpUnit;
      return {
        kind: "unit.core_dump",
        role: unit === undefined ? "daemon" : unitRole(unit),
        process: sshdProcess(program),
      };
    },
  }),
];
