import { once } from "node:events";
import { createServer, request as httpRequest, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { expect } from "chai";
import type { ChecklistReport } from "../../src/model/checklist.ts";
import { acceptsGzip, createApp, type Site, UnknownCollector } from "../../src/web/app.ts";
import { pages } from "../../src/web/pages.ts";

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: Buffer;
}

const emptyReport: ChecklistReport = {
  fromMs: 0,
  toMs: 3_600_000,
  conclusion: { verdict: "nothing", sentence: "Nothing.", because: [] },
  steps: [],
  symptom: { state: "inactive", explainedBy: [] },
};

describe("web/app", () => {
  let server: Server;
  let ready: string | undefined;
  const errors: string[] = [];
  const site: Site = {
    telemetryPath: "/metrics",
    gates: [],
    headers: () => ({ "X-Frame-Options": "deny" }),
    expose: async (format, collect) => {
      if (collect?.includes("fails")) throw new Error("secret detail");
      if (collect?.includes("unknown")) throw new UnknownCollector('no collector "unknown"');
      return `${format} ${collect?.join("+") ?? "all"}\n`;
    },
    status: () => ({
      version: "1.2.3",
      host: "web1",
      sources: [{ name: "kmsg", state: "failed", note: "<script>alert(1)</script>", grant: "setcap x" }],
      collectors: [{ name: "conntrack", state: "ok" }],
    }),
    checklist: () => emptyReport,
    notReady: () => ready,
    probe: (_request, response) => {
      response.send("probed\n");
    },
    onError: (error) => errors.push((error as Error).message),
  };

  before(async () => {
    server = createServer(createApp(site)).listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  after(() => new Promise((resolve) => server.close(resolve)));

  async function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> {
    const { port } = server.address() as AddressInfo;
    const request = httpRequest({ host: "127.0.0.1", port, path, method, headers }).end();
    const [response] = (await once(request, "response")) as [import("node:http").IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    return { status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) };
  }

  it("serves the metrics in the format that is asked for", async () => {
    const text = await get("/metrics");
    expect(text.status).to.equal(200);
    expect(text.headers["content-type"]).to.equal("text/plain; version=0.0.4; charset=utf-8");
    expect(text.body.toString()).to.equal("text all\n");
    const open = await get("/metrics", { accept: "application/openmetrics-text" });
    expect(open.headers["content-type"]).to.equal("application/openmetrics-text; version=1.0.0; charset=utf-8");
    expect(open.body.toString()).to.equal("openmetrics all\n");
  });

  it("compresses when asked", async () => {
    const { headers, body } = await get("/metrics", { "accept-encoding": "gzip" });
    expect(headers["content-encoding"]).to.equal("gzip");
    expect(gunzipSync(body).toString()).to.equal("text all\n");
  });

  it("hands on collect[], and says which collector there is not", async () => {
    expect((await get("/metrics?collect[]=a&collect[]=b")).body.toString()).to.equal("text a+b\n");
    const answer = await get("/metrics?collect[]=unknown");
    expect([answer.status, answer.body.toString()]).to.deep.equal([400, 'no collector "unknown"\n']);
  });

  it("hides the detail of an internal error from the client and tells it to the log", async () => {
    const answer = await get("/metrics?collect[]=fails");
    expect(answer.status).to.equal(500);
    expect(answer.body.toString()).not.to.include("secret");
    expect(errors).to.deep.equal(["secret detail"]);
  });

  it("escapes what it shows", async () => {
    const page = (await get("/")).body.toString();
    expect(page).to.include("&#60;script&#62;").and.not.include("<script>");
    expect(page).to.include("setcap x").and.include("1.2.3");
  });

  it("is ready when its sources are, and says why not", async () => {
    expect((await get("/-/ready")).status).to.equal(200);
    ready = "the journal is not open yet";
    const answer = await get("/-/ready");
    expect([answer.status, answer.body.toString()]).to.deep.equal([503, "the journal is not open yet\n"]);
    ready = undefined;
    expect((await get("/-/healthy")).status).to.equal(200);
  });

  it("says what there is instead of a page that is not there", async () => {
    const answer = await get("/metrics/");
    expect([answer.status, answer.body.toString()]).to.deep.equal([
      404,
      "Not found. There are: /, /metrics, /api/v1/diagnosis, /-/healthy, /-/ready, /probe\n",
    ]);
  });

  it("answers every page of the list, and of no other but their assets", async () => {
    const listed = pages("/metrics").map(({ path }) => path);
    for (const path of listed) expect((await get(path)).status, path).to.equal(200);
    const answered = createApp(site).router.stack.flatMap(({ route }) => (route === undefined ? [] : [route.path]));
    expect(answered).to.have.members([...listed, "/style.css", "/refresh.js"]);
  });

  it("answers 405 with the methods that are allowed", async () => {
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const answer = await get("/metrics", {}, method);
      expect([answer.status, answer.headers["allow"]], method).to.deep.equal([405, "GET, HEAD"]);
    }
    expect((await get("/metrics", {}, "HEAD")).status).to.equal(200);
  });

  it("stands path tricks", async () => {
    for (const path of ["/%", "/..%2f..%2fetc/passwd", "/metrics%00", `/${"a".repeat(8000)}`, "//metrics"]) {
      expect((await get(path)).status, path.slice(0, 30)).to.be.oneOf([400, 404]);
    }
  });

  it("does not name its framework", async () => {
    const { headers } = await get("/");
    expect(headers).not.to.have.any.keys("x-powered-by", "server", "etag");
    expect(headers["x-frame-options"]).to.equal("deny");
    expect(headers["content-security-policy"]).to.match(/^default-src 'none'/);
  });
});

describe("web/app acceptsGzip", () => {
  for (const [header, expected] of [
    [undefined, false],
    ["gzip", true],
    ["identity, gzip;q=0.5", true],
    ["gzip;q=0", false],
    ["*", true],
    ["br", false],
    ["gzip;q=x", false],
  ] as const) {
    it(`${header} means ${expected}`, () => {
      expect(acceptsGzip(header)).to.equal(expected);
    });
  }
});
