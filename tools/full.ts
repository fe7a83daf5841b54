/**
 * For what takes minutes and holds again, on a further release or for longer, what other checks hold: part of `npm run
 * full` alone, which sets FULL=true. Elsewhere it is not skipped: it is not there.
 */
export const isFull: boolean = process.env["FULL"] === "true";
