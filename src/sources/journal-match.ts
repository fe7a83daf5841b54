/**
 * Which entries of the journal are wanted: as matches for journalctl, and for entries that are read without it. Unit
 * messages carry `_SYSTEMD_UNIT=init.scope` and lines after a login that of their session: so it is who speaks that
 * matters, never the unit. Source: sd_journal_add_match(3).
 */

/** All fields of one group must be there, each with one of its values; one group is enough. */
type Group = Readonly<Record<string, readonly string[]>>;

function groupsFor(idents: readonly string[]): readonly Group[] {
  const groups: Group[] = [];
  const plain = idents.filter((ident) => ident !== "systemd" && ident !== "kernel");
  if (plain.length > 0) groups.push({ SYSLOG_IDENTIFIER: plain });
  const sshd = plain.filter((ident) => ident.startsWith("sshd"));
  if (sshd.length > 0) groups.push({ _COMM: sshd });
  if (idents.includes("systemd")) groups.push({ SYSLOG_IDENTIFIER: ["systemd"], _PID: ["1"] });
  if (idents.includes("kernel")) groups.push({ _TRANSPORT: ["kernel"], SYSLOG_FACILITY: ["0"] });
  return groups;
}

/** journalctl's matches for the identifiers; `+` is or, fields without it are and, the same field twice is or. */
export function journalMatches(idents: readonly string[]): readonly string[] {
  return groupsFor(idents).flatMap((group, index) => {
    const matches = Object.entries(group).flatMap(([field, values]) => values.map((value) => `${field}=${value}`));
    return index === 0 ? matches : ["+", ...matches];
  });
}

/** The same for one entry: what its fields say, or-ed, is a match or is none. */
export class JournalMatch {
  readonly #bits = new Map<string, Map<string, number>>();
  readonly #groups: number[] = [];

  constructor(idents: readonly string[]) {
    let bit = 1;
    for (const group of groupsFor(idents)) {
      let whole = 0;
      for (const [field, values] of Object.entries(group)) {
        const bits = this.#bits.get(field) ?? new Map<string, number>();
        this.#bits.set(field, bits);
        for (const value of values) bits.set(value, (bits.get(value) ?? 0) | bit);
        whole |= bit;
        bit <<= 1;
      }
      this.#groups.push(whole);
    }
  }

  /** What this field says. */
  bits(field: string, value: string): number {
    return this.#bits.get(field)?.get(value) ?? 0;
  }

  accepts(bits: number): boolean {
    for (const whole of this.#groups) if ((bits & whole) === whole) return true;
    return false;
  }
}
