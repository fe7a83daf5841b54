import { appendFileSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect } from "chai";
import type { Batch, Position } from "../../src/model/source.ts";
import { createFlowLogSource } from "../../src/sources/flow-log.ts";

const header =
  "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status";
const line = (address: string) => `2 1 eni-1 ${address} 10.0.0.1 40000 22 6 1 40 1700000000 1700000060 REJECT OK`;
const file = (...addresses: string[]) => `${[header, ...addresses.map(line)].join("\n")}\n`;

describe("the flow_log source", () => {
  let folder: string;
  const warnings: string[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "ssh-reset-exporter-flows-"));
    warnings.length = 0;
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  /** What it gives until it has `wanted` records, and the position then; with 0 one look. */
  async function read(wanted: number | (() => boolean), position?: Position, more: { fromBeginning?: boolean } = {}) {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), 5_000);
    const source = createFlowLogSource({
      paths: [folder],
      ports: () => [22],
      position,
      fromBeginning: more.fromBeginning ?? false,
      idents: [],
      onWarning: (message) => warnings.push(message),
      pollMs: 5,
    });
    const records: string[] = [];
    let last: Batch | undefined;
    let lost = 0;
    for await (const batch of source.batches(stop.signal)) {
      last = batch;
      lost += batch.lost;
      records.push(...batch.records.map(({ message }) => message.split(" ")[3] ?? ""));
      if (typeof wanted === "number" ? records.length >= wanted : wanted()) break;
    }
    clearTimeout(timer);
    stop.abort();
    return { records, lost, position: last?.position, status: source.status() };
  }

  it("reads files of nested folders, plain and gzip, once", async () => {
    mkdirSync(join(folder, "2024/05"), { recursive: true });
    writeFileSync(join(folder, "2024/05/a.log"), file("192.0.2.1"));
    writeFileSync(join(folder, "2024/05/b.log.gz"), gzipSync(file("192.0.2.2")));
    const first = await read(2);
    expect(first.records.sort()).to.deep.equal(["192.0.2.1", "192.0.2.2"]);
    writeFileSync(join(folder, "2024/05/c.log.gz"), gzipSync(file("192.0.2.3")));
    expect((await read(1, first.position)).records).to.deep.equal(["192.0.2.3"]);
  });

  it("goes on where a file has grown, across a restart", async () => {
    writeFileSync(join(folder, "a.log"), file("192.0.2.1"));
    const { position } = await read(1);
    appendFileSync(join(folder, "a.log"), `${line("192.0.2.2")}\n`);
    expect((await read(1, JSON.parse(JSON.stringify(position)))).records).to.deep.equal(["192.0.2.2"]);
  });

  it("waits for the end of a line", async () => {
    writeFileSync(join(folder, "a.log"), `${file("192.0.2.1")}${line("192.0.2.22").slice(0, 18)}`);
    const { position } = await read(1);
    writeFileSync(join(folder, "a.log"), `${file("192.0.2.1", "192.0.2.22")}`);
    expect((await read(1, position)).records).to.deep.equal(["192.0.2.22"]);
  });

  it("reads half a gzip file as far as it goes, says so, and the rest when it is there", async () => {
    const addresses = Array.from(
      { length: 20_000 },
      (_, index) => `10.${index >> 8}.${index & 255}.${(index * 7919) & 255}`,
    );
    const whole = gzipSync(file(...addresses));
    writeFileSync(join(folder, "a.gz"), whole.subarray(0, whole.length / 2));
    const half = await read(() => warnings.length > 0);
    expect(half.records.length).to.be.within(1, addresses.length - 1);
    expect(warnings.join()).to.include("a.gz: unexpected end of file");
    writeFileSync(join(folder, "a.gz"), whole);
    const rest = await read(addresses.length - half.records.length, half.position);
    expect([...half.records, ...rest.records]).to.deep.equal(addresses);
  });

  it("does not read old files at the first start, unless told to", async () => {
    writeFileSync(join(folder, "old.log"), file("192.0.2.1"));
    utimesSync(join(folder, "old.log"), 1_600_000_000, 1_600_000_000);
    writeFileSync(join(folder, "new.log"), file("192.0.2.2"));
    expect((await read(1)).records).to.deep.equal(["192.0.2.2"]);
    expect((await read(2, undefined, { fromBeginning: true })).records).to.deep.equal(["192.0.2.1", "192.0.2.2"]);
  });

  it("counts a file that is rewritten anew", async () => {
    writeFileSync(join(folder, "a.log"), file("192.0.2.1", "192.0.2.2"));
    const { position } = await read(2);
    writeFileSync(join(folder, "a.log"), file("192.0.2.3"));
    expect((await read(1, position)).records).to.deep.equal(["192.0.2.3"]);
  });

  it("leaves the sync's own temporary files alone, and names a file that is none", async () => {
    writeFileSync(join(folder, ".a.log"), file("192.0.2.1"));
    writeFileSync(join(folder, "b.log.tmp"), file("192.0.2.2"));
    writeFileSync(join(folder, "readme.txt"), "not a flow log\n");
    const { lost } = await read(0);
    expect(lost).to.equal(0);
    expect(warnings).to.deep.equal([
      `${folder}/readme.txt: no header line, and "not a flow log" is no record of version 2 in its default order`,
    ]);
  });

  it("counts lost records of a file, once", async () => {
    writeFileSync(join(folder, "a.json"), `{"a": \n${JSON.stringify({ jsonPayload: {} })}\nnonsense\n`);
    const { lost, position } = await read(0);
    expect(lost).to.equal(2);
    appendFileSync(join(folder, "a.json"), "more nonsense\n");
    expect((await read(0, position)).lost).to.equal(1);
  });

  it("refuses a position that is none", () => {
    expect(() =>
      createFlowLogSource({
        paths: [],
        ports: () => [22],
        position: { files: 1 },
        fromBeginning: false,
        idents: [],
        onWarning: () => undefined,
      }),
    ).to.throw("flow_log.files: 1 is no object");
  });
});
