/** From bytes to counts: syslog lines, the journal's export format, kmsg, trace lines, messages, the whole ledger. */
import { readdirSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { Counting } from "../../src/exporter/counting.ts";
import { type LogRecord, sourceNames } from "../../src/model/record.ts";
import { idents, parse } from "../../src/parsers/index.ts";
import { SshdBytes } from "../../src/parsers/sshd-bytes.ts";
import { JournalExport } from "../../src/sources/journal-export.ts";
import { JournalRecords, journalFields } from "../../src/sources/journal-record.ts";
import { parseKmsg } from "../../src/sources/kmsg.ts";
import { SyslogLines } from "../../src/sources/syslog-line.ts";
import { formatProblem, localEnd, parseRingStats, toRecord } from "../../src/sources/tcp-trace.ts";
import { readSamples } from "../parsers/samples.ts";
import { checkSamples } from "./samples.ts";
import { must, type Target } from "./target.ts";

const fixtures = new URL("../fixtures/", import.meta.url);
const nowMs = Date.UTC(2026, 5, 1);
const messageLength = 8192;
const everyIdent = new Set(idents);

function checkRecord(record: LogRecord): void {
  must(everyIdent.has(record.ident), `a record of ${record.ident}`);
  must(Number.isFinite(record.timeMs), `a record at ${record.timeMs}`);
  must(Number.isSafeInteger(record.pid) && record.pid >= 0, `pid ${record.pid}`);
  must(Number.isSafeInteger(record.count) && record.count > 0, `count ${record.count}`);
  must(record.message.length <= messageLength, `a message of ${record.message.length}`);
}

/** What no event may hold: anything that is not ours, or an address or port that is none. */
function checkEvent(record: LogRecord): string {
  const event = parse(record);
  if (event === undefined) return "none";
  for (const [key, value] of Object.entries(event)) {
    if (key === "address" || key === "localAddress") must(isIP(String(value)) !== 0, `${key} ${value}`);
    else if (key === "interface") must(/^[\w.@:-]{1,15}$/.test(String(value)), `${key} ${JSON.stringify(value)}`);
    else if (typeof value === "string") must(/^[a-z_.-]{1,40}$/.test(value), `${key} ${value}`);
    else if (typeof value === "number") must(Number.isSafeInteger(value) && value >= 0, `${key} ${value}`);
    if (key === "port" || key === "localPort") must(Number(value) >= 1 && Number(value) <= 65_535, `${key} ${value}`);
  }
  return JSON.stringify(event, (key, value) =>
    typeof value === "number" || /ddress$|^interface$/.test(key) ? "" : value,
  );
}

function lines(bytes: Buffer, cut: number, bytesReader?: SshdBytes): LogRecord[] {
  const records: LogRecord[] = [];
  const reader = new SyslogLines(idents, () => nowMs, bytesReader);
  const taken = reader.read(bytes.subarray(0, cut), records);
  must(taken <= cut, `took ${taken} of ${cut} bytes`);
  const rest = bytes.subarray(taken);
  reader.readLine(rest.subarray(reader.read(rest, records)), records);
  return records;
}

function entries(bytes: Buffer, cut: number): LogRecord[] {
  const reader = new JournalExport(journalFields);
  const all = [...reader.read(bytes.subarray(0, cut)), ...reader.read(bytes.subarray(cut))];
  const records = new JournalRecords(everyIdent);
  return all.flatMap((entry) => records.record(entry) ?? []);
}

const same = (some: unknown, other: unknown): boolean => JSON.stringify(some) === JSON.stringify(other);
const summary = (records: readonly LogRecord[]): string =>
  records
    .slice(0, 6)
    .map((record) => `${record.ident} ${checkEvent(record).slice(0, 60)} ${record.count > 1}`)
    .join(";");

const meaning = (record: LogRecord): unknown => [record.timeMs, record.ident, record.pid, record.count, parse(record)];

/** Records of the captures, a few together: what one host said within a minute. */
function captured(): Buffer[] {
  const folder = new URL("connections/", fixtures);
  return readdirSync(folder).flatMap((name) => {
    const all = readFileSync(new URL(name, folder), "utf8").split("\n").filter(Boolean);
    return [0, 1, 2].map((n) => Buffer.from(`[${all.slice(n * 8, n * 8 + 8).join(",")}]`));
  });
}

/** Types as a source gives them, whatever the document holds: only values are hostile here. */
function asRecords(document: unknown): LogRecord[] {
  if (!Array.isArray(document)) return [];
  return document.slice(0, 50).flatMap((each: unknown) => {
    const { source, timeMs, ident, pid, message, count, journal } = (each ?? {}) as Record<string, unknown>;
    if (typeof message !== "string" || typeof ident !== "string" || !everyIdent.has(ident)) return [];
    const whole = (value: unknown, least: number): number =>
      typeof value === "number" && Number.isSafeInteger(value) ? Math.max(least, Math.min(value, 1e15)) : least;
    const { trusted } = (typeof journal === "object" && journal !== null ? journal : {}) as { trusted?: unknown };
    const record = {
      source: sourceNames.find((name) => name === source) ?? "journal",
      timeMs: whole(timeMs, -1e15),
      ident,
      pid: whole(pid, 0),
      message: message.slice(0, messageLength),
      count: Math.min(whole(count, 1), 1e9),
      ...(typeof trusted === "object" &&
        trusted !== null && { journal: { ...texts(journal as object), trusted: texts(trusted) } }),
    };
    return [record as LogRecord];
  });
}

const texts = (fields: object): object =>
  Object.fromEntries(
    Object.entries(fields).filter(([key, value]) =>
      ["pid", "uid", "facility"].includes(key) ? Number.isSafeInteger(value) : typeof value === "string",
    ),
  );

export const recordTargets: readonly Target[] = [
  {
    name: "syslog-lines",
    seeds: () => [
      readFileSync(new URL("whole-binary/auth.log", fixtures)).subarray(0, 4000),
      Buffer.from(
        "<38>1 2026-06-01T10:00:00.5Z host sshd 1 - - Accepted publickey for a from 192.0.2.1 port 22 ssh2\n" +
          "Jun  1 10:00:00 host sshd[12]: message repeated 5 times: [ Connection closed by 192.0.2.1 port 4]\n" +
          "Jun  1 10:00:00 host last message repeated 3 times\n",
      ),
      Buffer.from(
        "2026-06-01T10:00:00.123456+02:00 host sshd-session[77]: Connection reset by 192.0.2.1 port 1 [preauth]\r\n",
      ),
    ],
    check(input) {
      const records = lines(input, input.length);
      for (const record of records) checkRecord(record);
      const halves = lines(input, input.length >> 1);
      must(same(records, halves), "read in two parts it gives other records");
      const quick = lines(input, input.length, new SshdBytes());
      must(same(records.map(meaning), quick.map(meaning)), "read from its bytes it means something else");
      return summary(records);
    },
  },
  {
    name: "journal-export",
    seeds: () => {
      const whole = readFileSync(new URL("journal/incidents.export", fixtures));
      const binary = Buffer.concat([
        Buffer.from(
          "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795354793329000\n_COMM=sshd\nSYSLOG_IDENTIFIER=sshd\n_PID=7\nMESSAGE\n",
        ),
        Buffer.from([15, 0, 0, 0, 0, 0, 0, 0]),
        Buffer.from("Accepted\n\0\x01 pw\n\n"),
      ]);
      return [whole.subarray(0, 3000), whole.subarray(-3000), binary];
    },
    check(input) {
      const records = entries(input, input.length);
      for (const record of records) checkRecord(record);
      must(same(records, entries(input, input.length >> 1)), "read in two parts it gives other records");
      return summary(records);
    },
  },
  {
    name: "kmsg",
    seeds: () =>
      [
        "6,339,5140900,-;NET: Registered protocol family 10\n SUBSYSTEM=net\n",
        "4,12,99,-,caller=T1;nf_conntrack: nf_conntrack: table full, dropping packet",
        "6,1,2,c;caf\\xc3\\xa9 \\x5c",
      ].map((text) => Buffer.from(text)),
    check(input) {
      const record = parseKmsg(input);
      if (record === undefined) return "none";
      must(Number.isSafeInteger(record.sequence) && Number.isFinite(record.timeUs), `sequence ${record.sequence}`);
      must(record.text.length <= input.length, "longer than it was");
      return `${record.facility} ${record.continues} ${record.caller === undefined} ${record.text.includes("\\x")}`;
    },
  },
  {
    name: "tcp-trace",
    seeds: () =>
      readdirSync(new URL("tracefs/", fixtures), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap(({ name }) =>
          readdirSync(new URL(`tracefs/${name}/`, fixtures)).map((file) => `tracefs/${name}/${file}`),
        )
        .map((path) => readFileSync(new URL(path, fixtures)).subarray(0, 2000)),
    check(input) {
      const text = input.toString("latin1");
      formatProblem("tcp_receive_reset", text);
      const { lost, read } = parseRingStats([text]);
      must(Number.isFinite(lost + read), `lost ${lost}, read ${read}`);
      const told = text.split("\n").map((line) => {
        const record = toRecord(line, "mono", nowMs);
        if (record === undefined) return "";
        checkRecord({ ...record, message: record.message.slice(0, messageLength) });
        return `${localEnd(record.message) !== undefined} ${checkEvent(record)}`;
      });
      return told.slice(0, 4).join(";");
    },
  },
  {
    name: "messages",
    seeds: () => readSamples().map(({ record }) => Buffer.from(JSON.stringify([record]))),
    json: true,
    check(input) {
      return asRecords(parsed(input)).map(checkEvent).join(";").slice(0, 400);
    },
  },
  {
    name: "ledger",
    seeds: captured,
    json: true,
    check(input) {
      const records = asRecords(parsed(input));
      const counting = new Counting({
        ledger: { kernelVisible: () => records.length % 2 === 0 },
        sources: ["journal"],
        onBrokenRecord: (error) => {
          throw error;
        },
      });
      counting.take("journal", { records, position: {}, lost: 0 });
      for (const waitMs of [0, 250, 1500, 70_000]) counting.tick(nowMs + waitMs);
      return checkSamples(counting.samples());
    },
  },
];

/** Bytes that are no JSON are none of these targets' concern. */
function parsed(input: Buffer): unknown {
  try {
    return JSON.parse(input.toString("utf8"));
  } catch {
    return undefined;
  }
}
