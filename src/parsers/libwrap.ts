/**
 * TCP wrappers inside a patched sshd (Debian, Ubuntu): refused connections. Gives sshd.ended.
 * Text: tcp_wrappers refuse.c, `refused connect from %s` of eval_client: `HOST (A)` or `IDENTUSER@HOST (A)`; name and
 * ident user are whatever reverse DNS and the peer's identd say, so the address is the one in the last parentheses.
 */
import { canonicalAddress } from "./address.ts";
import { ended } from "./ended.ts";
import { noted, sshdSays } from "./wording.ts";

export const libwrap = [
  sshdSays({
    id: "libwrap-refused",
    versions: "tcp_wrappers 7.6",
    origin: "tcp_wrappers refuse.c",
    starts: ["refused connect from "],
    read({ rest, length }) {
      const open = rest.lastIndexOf(" (");
      if (open === -1 || !rest.endsWith(")")) return undefined;
      const address = canonicalAddress(rest.slice(open + 2, -1));
      if (address === undefined) return undefined;
      const believed = length <= 320 ? { address } : {};
      return ended({ outcome: "refused", detail: "tcp_wrappers", phase: "connect" }, believed);
    },
  }),
  sshdSays({
    id: "libwrap-refuse-returned",
    versions: "tcp_wrappers 7.6",
    origin: "Debian's sshd.c patch; follows `refused connect`",
    starts: ["libwrap refuse returns"],
    read: () => noted,
  }),
  sshdSays({
    id: "libwrap-warning",
    versions: "tcp_wrappers 7.6",
    origin: "tcp_wrappers diag.c tcpd_warn",
    starts: ["warning: "],
    read: () => noted,
  }),
];
