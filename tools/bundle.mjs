/**
 * Makes dist/ of src/, which changes at one moment for those who run it meanwhile. One file for each command and what they share, with the packages
 * that they need: to find and compile three hundred files took a third of the exporter's start. Names are kept, so that
 * stacks can be read; types are `npm run check`'s business. Plain JavaScript: it runs in a fresh clone.
 */
import { existsSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
const dist = join(root, "dist");
const fresh = `${dist}.${process.pid}`;

await build({
  absWorkingDir: root,
  entryPoints: ["src/cli/main.ts"],
  outdir: fresh,
  entryNames: "cli/[name]",
  chunkNames: "cli/[name]-[hash]",
  bundle: true,
  // Large, loaded by few commands, and a bundle loses its named exports.
  external: ["systeminformation"],
  splitting: true,
  platform: "node",
  format: "esm",
  target: "node20.19",
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: "linked",
  logLevel: "warning",
  // CommonJS packages ask for node's own modules this way.
  banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
});

const old = `${fresh}.old`;
if (existsSync(dist)) renameSync(dist, old);
renameSync(fresh, dist);
rmSync(old, { recursive: true, force: true });
