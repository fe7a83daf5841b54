/**
 * `:PORT`, `HOST:PORT`, `[ADDRESS]:PORT` to what node's listen() takes. Brackets around IPv4 too, as Go's net.Listen takes
 * them: a template that fills in a node's address need not know its family.
 */
import { isIP } from "node:net";
import { ConfigError } from "./error.ts";

export interface ListenAddress {
  /** Undefined: all addresses, IPv6 and IPv4. */
  readonly host: string | undefined;
  readonly port: number;
}

export function parseListenAddress(text: string): ListenAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,6})$/.exec(text);
  if (!match) throw new ConfigError(`--web.listen-address: "${text}" is not :PORT, HOST:PORT or [IPV6]:PORT`);
  const [, bracketed, host, portText] = match;
  const port = Number(portText);
  if (port > 65535) throw new ConfigError(`--web.listen-address: port ${port} in "${text}" is not between 0 and 65535`);
  if (bracketed !== undefined && isIP(bracketed) === 0) {
    throw new ConfigError(`--web.listen-address: "${bracketed}" in "${text}" is no IP address`);
  }
  return { host: bracketed ?? (host || undefined), port };
}
