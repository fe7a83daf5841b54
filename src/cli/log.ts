/** Logging to stderr: pino, as JSON or as logfmt (key=value, the way that Prometheus programs write). */
import pino, { type Logger } from "pino";

export type Log = Logger;

export function createLog(level: string, format: "logfmt" | "json"): Log {
  const settings = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  const stderr = pino.destination({ dest: 2, sync: true });
  return pino(settings, format === "json" ? stderr : { write: (line: string) => stderr.write(toLogfmt(line)) });
}

/** One JSON object of pino's to one logfmt line. */
export function toLogfmt(json: string): string {
  const fields = Object.entries(JSON.parse(json) as Record<string, unknown>);
  return `${fields.map(([key, value]) => `${key}=${logfmtValue(value)}`).join(" ")}\n`;
}

/** Quoted where a space, a quote, an equals sign or a control character would make it ambiguous. */
function logfmtValue(value: unknown): string {
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? text : JSON.stringify(text);
}
