/** How deep a JSON text nests, without recursion: what a file brings is looked at before it is parsed. */
export function deeperThan(limit: number, text: string): boolean {
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/g)) {
    if (token === "[" || token === "{") depth++;
    else if (token === "]" || token === "}") depth--;
    if (depth > limit) return true;
  }
  return false;
}
