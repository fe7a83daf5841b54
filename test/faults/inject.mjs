/**
 * Preloaded into the exporter (`node --import=./test/faults/inject.mjs dist/cli/main.js`): every operation on a file is
 * counted by its name and path, and one that is asked for fails once. Orders come as messages of the parent, or for the
 * start in FAULTS as JSON; what happened is told by messages. An unhandled rejection ends the process with 99.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** @type {{ operation: string, path: string, code: string }[]} */
let armed = JSON.parse(process.env.FAULTS ?? "[]");
const roots = (process.env.FAULT_ROOTS ?? "").split(":");
const seen = new Map();
const paths = new Map();

/** Whose paths are watched; the rest is node's own loading of programs. */
function watched(path) {
  return typeof path === "string" && roots.some((root) => root !== "" && path.startsWith(root));
}

/** Throws what was ordered for this operation. */
function meet(operation, path) {
  if (!watched(path)) return;
  const key = `${operation} ${path}`;
  seen.set(key, (seen.get(key) ?? 0) + 1);
  const fault = armed.find((each) => each.operation === operation && each.path === path);
  if (fault === undefined) return;
  const { code } = fault;
  armed = armed.filter((each) => each !== fault);
  process.send?.({ hit: key });
  throw Object.assign(new Error(`${code}: injected, ${operation} '${path}'`), { code, syscall: operation, path });
}

const pathOf = (target) => (typeof target === "number" ? paths.get(target) : String(target));

for (const operation of [
  ...[
    "openSync",
    "readFileSync",
    "writeFileSync",
    "readdirSync",
    "statSync",
    "lstatSync",
    "accessSync",
    "readlinkSync",
  ],
  ...["mkdirSync", "renameSync", "rmdirSync", "statfsSync", "existsSync", "readSync", "fstatSync", "createReadStream"],
]) {
  const original = fs[operation];
  fs[operation] = (...args) => {
    if (operation === "existsSync") {
      try {
        meet(operation, pathOf(args[0]));
      } catch {
        return false;
      }
    } else meet(operation, pathOf(args[0]));
    const result = original(...args);
    if (operation === "openSync") paths.set(result, String(args[0]));
    return result;
  };
}

const read = fs.read;
fs.read = (fd, ...args) => {
  try {
    meet("read", pathOf(fd));
  } catch (error) {
    setImmediate(args.at(-1), error);
    return;
  }
  read(fd, ...args);
};

const { open, rename, readFile } = fs.promises;
fs.promises.open = async (path, ...args) => {
  meet("open", String(path));
  const file = await open(path, ...args);
  for (const operation of ["writeFile", "datasync", "close"]) {
    const original = file[operation].bind(file);
    file[operation] = async (...given) => {
      try {
        meet(operation, String(path));
      } catch (error) {
        if (operation === "close") await original();
        throw error;
      }
      return original(...given);
    };
  }
  return file;
};
fs.promises.rename = async (from, to) => {
  meet("rename", String(from));
  return rename(from, to);
};
fs.promises.readFile = async (path, ...args) => {
  meet("readFile", String(path));
  return readFile(path, ...args);
};
syncBuiltinESMExports();

process.on("unhandledRejection", (error) => {
  process.stderr.write(`UNHANDLED ${error instanceof Error ? error.stack : error}\n`);
  process.exit(99);
});
process.on("message", (order) => {
  if (order === "seen") process.send?.({ seen: Object.fromEntries(seen) });
  else armed = order;
});
process.channel?.unref();
