/**
 * `npm run preview`: draws the dashboards with Grafana's own components in a headless Chromium, against a Prometheus that
 * has three hours of a simulated fleet with incidents, and writes the pictures to docs/images. The components are this
 * folder's own packages, installed on the first run (400 packages, 450 MB; the page takes one to two minutes to build,
 * both are kept in the tests' cache).
 * `--only NAME` for one picture, `--out DIR`, `--rebuild`.
 */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import type { Browser } from "playwright-core";
import { backfill, pastEndSeconds, startPrometheus } from "../../test/kit/dashboards/prometheus.ts";
import { launch } from "../../test/web/browser.ts";
import { cacheFolder, debian } from "../debian.ts";

interface Picture {
  readonly name: string;
  readonly dashboard: "ssh-reset-fleet" | "ssh-reset-host" | "ssh-reset-exporter";
  readonly theme: "light" | "dark";
  readonly width: 1280 | 1920;
  readonly instance?: string;
  /** Rows to show, by the beginning of their titles; "" is what stands above the first. All without. */
  readonly rows?: readonly string[];
  /** Minutes of the three hours. */
  readonly from?: number;
  readonly to?: number;
}

const limitBytes = 300 * 1024;
/** Tables outside of the window are not drawn. */
const tallest = 6000;
const host = "ssh-reset-host";
/** Into the incidents, which begin at minute 80. */
const during = { from: 45, to: 108 };

const pictures: readonly Picture[] = [
  { name: "fleet-light-1280", dashboard: "ssh-reset-fleet", theme: "light", width: 1280, rows: ["", "Who"] },
  { name: "fleet-dark-1920", dashboard: "ssh-reset-fleet", theme: "dark", width: 1920, rows: ["", "Who", "Which"] },
  {
    name: "host-oom-light-1280",
    dashboard: host,
    theme: "light",
    width: 1280,
    instance: "db1:10922",
    rows: ["", "Step 1", "Step 2"],
    ...during,
  },
  {
    name: "host-oom-dark-1920",
    dashboard: host,
    theme: "dark",
    width: 1920,
    instance: "db1:10922",
    rows: ["", "Step 1", "Step 2"],
    ...during,
  },
  {
    name: "host-mtu-dark-1280",
    dashboard: host,
    theme: "dark",
    width: 1280,
    instance: "vpn1:10922",
    rows: ["", "Connections", "Step 4"],
    ...during,
  },
  {
    name: "host-conntrack-light-1920",
    dashboard: host,
    theme: "light",
    width: 1920,
    instance: "gw1:10922",
    rows: ["", "Step 5"],
    from: 30,
    to: 135,
  },
  {
    name: "host-scanners-light-1280",
    dashboard: host,
    theme: "light",
    width: 1280,
    instance: "bastion1:10922",
    rows: ["", "Connections", "Beyond"],
    ...during,
  },
  {
    name: "host-idle-dark-1280",
    dashboard: host,
    theme: "dark",
    width: 1280,
    instance: "app1:10922",
    rows: ["Step 5"],
  },
  { name: "exporter-dark-1280", dashboard: "ssh-reset-exporter", theme: "dark", width: 1280 },
];

const types: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".woff2": "font/woff2",
};

const { values: flags } = parseArgs({
  options: {
    only: { type: "string", multiple: true },
    out: { type: "string", default: "docs/images" },
    rebuild: { type: "boolean", default: false },
  },
});
const folder = mkdtempSync(join(tmpdir(), "ssh-reset-preview-"));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit(130));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let failed = 0;
try {
  const page = await built();
  await backfill(folder);
  const prometheus = await startPrometheus(folder, []);
  const server = await serve(page, prometheus.url);
  const browser = await launch(await debian("chromium"));
  try {
    for (const picture of pictures.filter(({ name }) => flags.only?.includes(name) ?? true))
      await draw(browser, picture, server);
  } finally {
    await browser.close();
    server.close();
    await prometheus.stop();
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = failed === 0 ? 0 : 1;

async function draw(browser: Browser, picture: Picture, server: Server): Promise<void> {
  const { name, dashboard, theme, width, instance = ".+", rows = [], from = 0, to = 180 } = picture;
  const begin = pastEndSeconds - 180 * 60;
  const query = new URLSearchParams({
    dashboard,
    theme,
    width: String(width),
    instance,
    start: String(begin + from * 60),
    end: String(begin + to * 60),
    rows: JSON.stringify(rows),
  });
  const { port } = server.address() as AddressInfo;
  const page = await browser.newPage({ viewport: { width, height: tallest } });
  const errors: string[] = [];
  page.on("pageerror", (error) => errors.push(String(error)));
  await page.goto(`http://127.0.0.1:${port}/?${query}`);
  await page.waitForFunction("window.pending === 0", undefined, { timeout: 120_000 });
  const { height } = (await page.locator("#page > *").first().boundingBox()) ?? { height: tallest };
  const image = await page.screenshot({ clip: { x: 0, y: 0, width, height } });
  await page.close();
  const path = join(flags.out, `${name}.png`);
  mkdirSync(flags.out, { recursive: true });
  writeFileSync(path, image);
  const problems = [...errors, ...(image.length > limitBytes ? [`more than ${limitBytes} bytes`] : [])];
  failed += problems.length;
  console.log(`${path}: ${Math.round(image.length / 1024)} KB${problems.map((text) => `\n  ${text}`).join("")}`);
}

/** The page's folder; made again when its sources change. */
async function built(): Promise<string> {
  const here = import.meta.dirname;
  const files = ["package.json", "vite.config.mjs", "index.html", "page.jsx"];
  const work = join(cacheFolder, "preview");
  mkdirSync(work, { recursive: true });
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(readFileSync(join(here, file)));
    cpSync(join(here, file), join(work, file));
  }
  const mark = join(work, "dist", "built-from");
  const wanted = hash.digest("hex");
  if (!flags.rebuild && existsSync(mark) && readFileSync(mark, "utf8") === wanted) return join(work, "dist");
  console.log("preview: installing Grafana's components and building the page");
  const npm = process.env["npm_execpath"];
  const install = ["install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"];
  await run(work, npm === undefined ? "npm" : process.execPath, npm === undefined ? install : [npm, ...install]);
  await run(work, process.execPath, ["node_modules/vite/bin/vite.js", "build"]);
  writeFileSync(mark, wanted);
  return join(work, "dist");
}

async function run(cwd: string, program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { cwd, stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise((done, reject) => child.on("error", reject).on("close", done));
  if (code !== 0) throw new Error(`${program} ${args[0]} ended with ${code}`);
}

/** The page, the committed dashboards and Prometheus under one address. */
async function serve(page: string, prometheus: string): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://127.0.0.1");
    if (pathname.startsWith("/prometheus/")) {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const url = prometheus + pathname.slice("/prometheus".length);
        const headers = { "content-type": "application/x-www-form-urlencoded" };
        fetch(url, { method: "POST", body: Buffer.concat(chunks), headers })
          .then(async (answer) =>
            response.writeHead(answer.status, { "content-type": types[".json"] }).end(await answer.text()),
          )
          .catch((error: unknown) => response.writeHead(502).end(String(error)));
      });
      return;
    }
    const path = pathname.startsWith("/dashboards/")
      ? resolve(`.${pathname}`)
      : join(page, pathname === "/" ? "index.html" : pathname);
    if (!existsSync(path)) response.writeHead(404).end();
    else
      response
        .writeHead(200, { "content-type": types[extname(path)] ?? "application/octet-stream" })
        .end(readFileSync(path));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return server;
}
