/** `npm run screenshots -- [FOLDER]`: the pictures in docs/images, from recorded faults. To be looked at. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { debian } from "../../tools/debian.ts";
import { launch, serve } from "./browser.ts";
import { scenes } from "./scenes.ts";

const folder = process.argv[2] ?? "docs/images";
mkdirSync(folder, { recursive: true });
const browser = await launch(await debian("chromium"));
try {
  for (const [name, make] of Object.entries(scenes)) {
    const served = await serve(await make());
    const colorScheme = name === "conntrack-full" ? "dark" : "light";
    const page = await browser.newPage({ viewport: { width: 1000, height: 1000 }, colorScheme });
    await page.goto(served.url);
    await page.screenshot({ path: join(folder, `status-${name}.png`) });
    await page.close();
    await served.close();
  }
} finally {
  await browser.close();
}
