/** The status page in a headless Chromium, served by the real app. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { createApp } from "../../src/web/app.ts";
import type { Tool } from "../../tools/debian.ts";
import type { Scene } from "./scenes.ts";

export interface Served {
  readonly url: string;
  /** What is shown from now on. */
  show(scene: Scene): void;
  close(): Promise<void>;
}

export async function serve(first: Scene): Promise<Served> {
  let shown = first;
  const app = createApp({
    telemetryPath: "/metrics",
    gates: [],
    headers: () => ({}),
    expose: async () => "",
    status: () => shown.status,
    checklist: () => shown.report,
    notReady: () => undefined,
    probe: (_request, response) => response.end(),
    onError: (error) => {
      throw error;
    },
  });
  const server: Server = createServer(app).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    show(scene) {
      shown = scene;
    },
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

/** Debian's chromium from the private cache, without the wrapper that wants files in /etc. No sandbox: the test may run as root. */
export function launch({ env, root }: Tool): Promise<Browser> {
  const libraries = [env["LD_LIBRARY_PATH"], join(root, "usr/lib/x86_64-linux-gnu/pulseaudio")];
  return chromium.launch({
    executablePath: join(root, "usr/lib/chromium/chromium"),
    env: { ...env, LD_LIBRARY_PATH: libraries.join(":") },
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
}
