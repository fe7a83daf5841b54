/**
 * Reads small files of /proc and /sys. A held descriptor read from offset 0 costs a tenth of open, read, close, and the
 * kernel makes the content anew at each such read.
 * "Not there" is an answer (undefined), everything else that fails throws with the path.
 */
import { closeSync, openSync, readSync } from "node:fs";

const chunkBytes = 64 * 1024;
/** More than any file read here may have; beyond it the content is a surprise. */
const maxBytes = 4 * 1024 * 1024;
let buffer = Buffer.allocUnsafe(chunkBytes);

/** ENOENT and ENOTDIR: no such file. ENODEV and ESRCH: its module or process went away. EOPNOTSUPP: PSI switched off. */
const goneCodes = new Set(["ENOENT", "ENOTDIR", "ENODEV", "ENXIO", "ESRCH", "EOPNOTSUPP", "ENOTSUP"]);

/** A file read at every scrape; opened at the first read that finds it, and again when it comes back. */
export class KernelFile {
  readonly path: string;
  #fd: number | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** The whole text; undefined when the kernel does not have it. Throws on EACCES and other errors. */
  read(): string | undefined {
    const held = this.#fd !== undefined;
    try {
      this.#fd ??= openSync(this.path, "r");
      return readAll(this.#fd, this.path);
    } catch (error) {
      this.close();
      if (!isGone(error)) throw error;
      // What was held has ended; another may have its name by now.
      return held ? this.read() : undefined;
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** Files read at every scrape whose names are found only then: held as long as each reading asks for them. */
export class KernelFiles {
  readonly #held = new Map<string, { readonly file: KernelFile; readonly owner: number }>();
  readonly #asked = new Set<string>();

  /** Like KernelFile.read; opened anew when another `owner` has the name. */
  read = (path: string, owner = 0): string | undefined => {
    this.#asked.add(path);
    let held = this.#held.get(path);
    if (held?.owner !== owner) {
      held?.file.close();
      held = { file: new KernelFile(path), owner };
      this.#held.set(path, held);
    }
    return held.file.read();
  };

  /** Closes those that this reading did not ask for. */
  endReading(): void {
    for (const [path, { file }] of this.#held) {
      if (this.#asked.has(path)) continue;
      file.close();
      this.#held.delete(path);
    }
    this.#asked.clear();
  }
}

/** Like KernelFile.read for a file whose name changes from scrape to scrape. */
export function readKernelFile(path: string): string | undefined {
  const file = new KernelFile(path);
  try {
    return file.read();
  } finally {
    file.close();
  }
}

/** True when the error says that the file, its device or its process is not there. */
export function isGone(error: unknown): boolean {
  return goneCodes.has(errorCode(error) ?? "");
}

/** True when the file is there and we may not read it. */
export function isDenied(error: unknown): boolean {
  const code = errorCode(error);
  return code === "EACCES" || code === "EPERM";
}

/** The `code` of a system error. */
export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** A count of the kernel: digits only. `place` is quoted in the error. */
export function parseCount(text: string | undefined, place: string): number {
  if (text === undefined || !/^\d{1,20}$/.test(text)) throw new Error(`${place}: ${quote(text)} is no count`);
  return Number(text);
}

/** A value for an error message: quoted and cut. */
export function quote(text: string | undefined): string {
  return text === undefined ? "nothing" : JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}

function readAll(fd: number, path: string): string {
  let length = 0;
  for (;;) {
    if (length === buffer.length) buffer = Buffer.concat([buffer], buffer.length * 2);
    if (length >= maxBytes) throw new Error(`${path}: more than ${maxBytes} bytes`);
    const got = readSync(fd, buffer, length, buffer.length - length, length);
    if (got === 0) return buffer.toString("latin1", 0, length);
    length += got;
  }
}
