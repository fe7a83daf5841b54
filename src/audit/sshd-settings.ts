/** What `sshd -T` says of keeping lines open (sshd_config(5)), held against timeouts that forget idle connections. */
import { defaultKernelSeconds, type KeepAlive, keepAliveText, outlives } from "../model/idle-timeouts.ts";
import type { IdleTimeout } from "./answer.ts";

/** Undefined where the text is no output of `sshd -T`. The kernel's own time is not in it: its default is taken. */
export function keepAliveOf(text: string): KeepAlive | undefined {
  const seconds = /^clientaliveinterval (\d{1,9})$/m.exec(text)?.[1];
  if (seconds === undefined) return undefined;
  return {
    clientAliveSeconds: Number(seconds),
    tcpKeepAlive: !/^tcpkeepalive no$/m.test(text),
    kernelSeconds: defaultKernelSeconds,
  };
}

/** A sentence where an idle session does not outlive the timeout; undefined where sshd keeps it open. */
export function cutNote({ seconds, by }: IdleTimeout, keepAlive: KeepAlive | undefined): string | undefined {
  const forgets = `${by} forgets idle connections after ${seconds} s`;
  if (keepAlive === undefined) return `${forgets}; give the output of sshd -T to hold it against sshd's keep-alive`;
  if (outlives(keepAlive, { seconds, restartedBy: "packet" })) return undefined;
  return `${forgets}, and sshd does not keep them open: ${keepAliveText(keepAlive)}`;
}
