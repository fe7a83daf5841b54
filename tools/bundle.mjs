/**
 * Makes dist/ of src/, which changes at one moment for those who run it meanwhile. One file for each command and what they share, with the packages
 * that they need: to find and compile three hundred files took a third of the exporter's start. Names are kept, so that
 * stacks can be read; types are `npm run check`'s business. Plain JavaScript: it runs in a fresh clone.
 * `--script FOLDER --version VERSION` makes one CommonJS script of all instead, for the executable, and a list of what went into it.
 */
import { existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const root = join(import.meta.dirname, "..");
// Modes are in npm's archive.
process.umask(0o022);

/** No page takes a body, and its tables of encodings would be a third of the program: 1 MB of every host's memory. */
const noBodies = {
  name: "no bodies",
  setup({ onLoad }) {
    onLoad({ filter: /\/node_modules\/body-parser\/index\.js$/ }, () => ({ contents: "module.exports = {};" }));
  },
};

/** Large, loaded by few commands, and a bundle loses its named exports; its parts that are loaded by themselves are not. */
const wholePackage = {
  name: "whole package",
  setup({ onResolve }) {
    onResolve({ filter: /^systeminformation$/ }, ({ path }) => ({ path, external: true }));
  },
};

/** The same for both; of the folder that it is in nothing gets into the output. */
const options = {
  absWorkingDir: root,
  entryPoints: ["src/cli/main.ts"],
  bundle: true,
  platform: "node",
  target: "node20.19",
  minifyWhitespace: true,
  minifySyntax: true,
  // The same names, and so the same bytes, where node_modules is a link.
  preserveSymlinks: true,
  logLevel: "warning",
  plugins: [noBodies],
};

const { values: flags } = parseArgs({ options: { script: { type: "string" }, version: { type: "string" } } });
if (flags.script === undefined) await makeDist();
else await makeScript(flags.script, flags.version);

async function makeDist() {
  const dist = join(root, "dist");
  const fresh = `${dist}.${process.pid}`;
  await build({
    ...options,
    outdir: fresh,
    entryNames: "cli/[name]",
    chunkNames: "cli/[name]-[hash]",
    plugins: [...options.plugins, wholePackage],
    splitting: true,
    format: "esm",
    legalComments: "linked",
    // CommonJS packages ask for node's own modules this way.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
  });
  const old = `${fresh}.old`;
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

async function makeScript(folder, version) {
  // An executable has no package.json beside it.
  const ownVersion = {
    name: "version",
    setup({ onLoad }) {
      onLoad({ filter: /\/src\/cli\/version\.ts$/ }, () => ({
        contents: `export const version = ${JSON.stringify(version)};`,
      }));
    },
  };
  const { metafile } = await build({
    ...options,
    outfile: join(folder, "main.cjs"),
    format: "cjs",
    legalComments: "none",
    metafile: true,
    plugins: [noBodies, ownVersion],
  });
  writeFileSync(join(folder, "inputs.json"), JSON.stringify(Object.keys(metafile.inputs)));
}
