/** How far a long reading is: one line on a terminal, written over again; nothing elsewhere. */

const firstAfterMs = 1000;
const everyMs = 200;

export interface Progress {
  readonly read: (bytes: number, timeMs: number | undefined) => void;
  end(): void;
}

export function progressOn(stream: NodeJS.WriteStream): Progress {
  if (stream.isTTY !== true) return { read: () => undefined, end: () => undefined };
  const startedMs = performance.now();
  let shownMs = 0;
  return {
    read(bytes, timeMs) {
      const nowMs = performance.now();
      if (nowMs - startedMs < firstAfterMs || nowMs - shownMs < everyMs) return;
      shownMs = nowMs;
      const at = timeMs === undefined ? "" : `, at ${new Date(timeMs).toISOString().slice(0, 16)}Z`;
      stream.write(`\r\x1b[Kreading: ${Math.round(bytes / 1e6)} MB${at}`);
    },
    end() {
      if (shownMs > 0) stream.write("\r\x1b[K");
    },
  };
}
