import { expect } from "chai";
import { Pipeline } from "../../src/exporter/pipeline.ts";
import type { Event } from "../../src/model/event.ts";
import type { LogRecord } from "../../src/model/record.ts";

const record = (message: string, timeMs = 0): LogRecord => ({
  source: "logfile",
  timeMs,
  ident: "sshd",
  pid: 1,
  message,
  count: 1,
});

function bench() {
  const seen: Event[] = [];
  const broken: string[] = [];
  const parse = ({ message }: LogRecord): Event | undefined => {
    if (message === "throw") throw new Error("broken");
    return message === "known" ? { kind: "noted" } : undefined;
  };
  const pipeline = new Pipeline(
    { parse, isTrusted: ({ message }) => message !== "forged" },
    { handle: (event) => seen.push(event) },
    (_error, { message }) => broken.push(message),
  );
  return { pipeline, seen, broken };
}
const values = (pipeline: Pipeline) =>
  Object.fromEntries(
    pipeline.samples(["logfile"], () => 10).map(({ name, value }) => [name.replace(/^sshreset_source_/, ""), value]),
  );

describe("exporter/pipeline", () => {
  it("counts records, unmatched and lost ones, and keeps the position of the batch", () => {
    const { pipeline, seen, broken } = bench();
    pipeline.take("logfile", {
      records: [record("known"), record("new"), record("forged"), record("throw"), record("known", 5000)],
      position: { offset: 7 },
      lost: 2,
    });
    expect(seen).to.have.length(2);
    expect(broken).to.deep.equal(["throw"]);
    expect(pipeline.position("logfile")).to.deep.equal({ offset: 7 });
    expect(values(pipeline)).to.deep.equal({
      records_total: 5,
      lost_records_total: 12,
      unmatched_records_total: 2,
      untrusted_records_total: 1,
      last_record_timestamp_seconds: 5,
    });
  });

  it("goes on where its snapshot was taken", () => {
    const { pipeline } = bench();
    pipeline.take("logfile", { records: [record("known")], position: { offset: 7 }, lost: 0 });
    const saved = JSON.parse(JSON.stringify(pipeline.snapshot()));
    pipeline.take("logfile", { records: [record("known")], position: { offset: 9 }, lost: 0 });
    const next = bench().pipeline;
    next.restore(saved);
    expect(next.position("logfile")).to.deep.equal({ offset: 7 });
    expect(values(next)).to.include({ records_total: 1 });
  });

  it("snapshots do not change afterwards", () => {
    const { pipeline } = bench();
    pipeline.take("logfile", { records: [record("known")], position: { offset: 7 }, lost: 0 });
    const saved = pipeline.snapshot();
    const before = JSON.stringify(saved);
    pipeline.take("logfile", { records: [record("known")], position: { offset: 9 }, lost: 0 });
    expect(JSON.stringify(saved)).to.equal(before);
  });
});
