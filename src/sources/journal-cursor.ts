/** sd_journal_get_cursor(3): `s=HEX;i=HEX;b=HEX;m=HEX;t=HEX;x=HEX`: who numbers, number, boot, both clocks, a hash. */

/** A place in the journal: who numbers, and the number. */
export interface EntryNumber {
  readonly by: string;
  readonly number: number;
}

/** Of sd_journal_get_cursor(3): `s=...;i=...;b=...`. */
export function entryNumber(cursor: string): EntryNumber | undefined {
  const by = /^s=([0-9a-f]{32});i=/.exec(cursor)?.[1];
  const number = by === undefined ? undefined : numberBy(by, cursor);
  return by === undefined || number === undefined ? undefined : { by, number };
}

/** The number that this journald gave; undefined if another one did. */
export function numberBy(by: string, cursor: string): number | undefined {
  if (!cursor.startsWith(by, 2) || !cursor.startsWith(";i=", 34)) return undefined;
  let number = 0;
  for (let at = 37; at < 51; at++) {
    const code = cursor.charCodeAt(at);
    const digit = code >= 97 && code <= 102 ? code - 87 : code >= 48 && code <= 57 ? code - 48 : -1;
    if (digit === -1) return code === 59 && at > 37 ? number : undefined;
    number = number * 16 + digit;
  }
  return undefined;
}

/** Whether two cursors mean one entry: by sequence number or, where a file was copied, by boot, times and hash. */
export function sameEntry(a: string, b: string): boolean {
  if (a === b) return true;
  const [one, other] = [a, b].map((cursor) => new Map(cursor.split(";").map((part) => [part[0], part.slice(2)])));
  return ["b", "m", "t", "x"].every((key) => one?.get(key) !== undefined && one.get(key) === other?.get(key));
}
