/** `:PORT`, `HOST:PORT`, `[IPV6]:PORT` to what node's listen() takes. */
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
  const [, ipv6, host, portText] = match;
  const port = Number(portText);
  if (port > 65535) throw new ConfigError(`--web.listen-address: port ${port} in "${text}" is not between 0 and 65535`);
  if (ipv6 !== undefined && isIP(ipv6) !== 6) {
    throw new ConfigError(`--web.listen-address: "${ipv6}" in "${text}" is no IPv6 address`);
  }
  return { host: ipv6 ?? (host || undefined), port };
}
