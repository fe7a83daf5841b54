/** What `sshd -T` says of keeping lines open (sshd_config(5)), held against timeouts that forget idle connections. */
import type { IdleTimeout } from "./answer.ts";

export interface KeepAlive {
  /** 0: sshd sends nothing over an idle session. */
  readonly clientAliveSeconds: number;
  readonly tcpKeepAlive: boolean;
}

/** net.ipv4.tcp_keepalive_time: the kernel's default, where TCPKeepAlive is on. */
const kernelKeepAliveSeconds = 7200;

/** Undefined where the text is no output of `sshd -T`. */
export function keepAliveOf(text: string): KeepAlive | undefined {
  const seconds = /^clientaliveinterval (\d{1,9})$/m.exec(text)?.[1];
  if (seconds === undefined) return undefined;
  return { clientAliveSeconds: Number(seconds), tcpKeepAlive: !/^tcpkeepalive no$/m.test(text) };
}

/** A sentence where an idle session does not outlive the timeout; undefined where sshd keeps it open. */
export function cutNote({ seconds, by }: IdleTimeout, keepAlive: KeepAlive | undefined): string | undefined {
  const forgets = `${by} forgets idle connections after ${seconds} s`;
  if (keepAlive === undefined) return `${forgets}; give the output of sshd -T to hold it against sshd's keep-alive`;
  const { clientAliveSeconds: interval, tcpKeepAlive } = keepAlive;
  if (interval > 0 && interval < seconds) return undefined;
  if (tcpKeepAlive && kernelKeepAliveSeconds < seconds) return undefined;
  const sends =
    interval > 0
      ? `ClientAliveInterval ${interval} is too long`
      : `ClientAliveInterval 0 sends nothing${tcpKeepAlive ? `, and TCPKeepAlive comes after ${kernelKeepAliveSeconds} s by default` : ""}`;
  return `${forgets}, and sshd does not keep them open: ${sends}`;
}
