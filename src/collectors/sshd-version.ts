/**
 * The release of OpenSSH that is installed, read from the program itself without running it: `OpenSSH_9.2p1`, and what
 * Debian and Ubuntu add to it, `Debian-2+deb12u7`. Source: version.h (SSH_RELEASE), Debian's debian-banner.patch.
 */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { isDenied, isGone } from "./kernel-file.ts";

const programs = ["usr/sbin/sshd", "usr/bin/sshd", "usr/local/sbin/sshd"];
const maxBytes = 16 * 1024 * 1024;

/** `9.2p1 Debian-2+deb12u7`; a file is read again only when it has changed. Undefined where none is found or may be read. */
export class SshdVersion {
  readonly #rootfs: string;
  #file = "";
  #version: string | undefined;

  constructor(rootfs: string) {
    this.#rootfs = rootfs;
  }

  read(): string | undefined {
    for (const program of programs) {
      const path = join(this.#rootfs, program);
      try {
        const { size, mtimeMs, ino } = statSync(path);
        const file = `${path} ${ino} ${size} ${mtimeMs}`;
        if (file !== this.#file) this.#version = size > maxBytes ? undefined : releaseOf(readFileSync(path, "latin1"));
        this.#file = file;
        return this.#version;
      } catch (error) {
        if (!isGone(error) && !isDenied(error)) throw error;
      }
    }
    return undefined;
  }
}

/** Names of other releases are in the program too, for their bugs: with wildcards and without a `p`. */
export function releaseOf(program: string): string | undefined {
  const release = /OpenSSH_(\d{1,3}\.\d{1,3}(?:\.\d{1,3})?p\d{1,3})[\0 ]/.exec(program)?.[1];
  const revision = /[\0 ]((?:Debian|Ubuntu)-[\w.+~:-]{1,40})\0/.exec(program)?.[1];
  return release === undefined || revision === undefined ? release : `${release} ${revision}`;
}
