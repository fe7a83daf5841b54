import { exactly, type Scenario } from "../scenario.ts";
import { routerHaproxy } from "./router-haproxy.ts";

export const proxyProtocol: Scenario = {
  name: "proxy-protocol",
  title: "a proxy that everybody logs in through is told to send the PROXY protocol's header",
  page: "SshResetProxyProtocol",
  async inject({ network, host, clients, knownPeers }) {
    // Since 9.5 the line that names the header is VERBOSE.
    await host.configure("LogLevel VERBOSE\n");
    const server = `server one ${network.serverAddress}:22`;
    const haproxy = await routerHaproxy(
      { network, host },
      `listen ssh
  bind :2222
  ${server}
listen ssh-with-header
  bind :2223
  ${server} send-proxy
`,
    );
    let failed = 0;
    try {
      const [peer = ""] = knownPeers;
      const { status, stderr } = await clients.ssh(peer, "true", haproxy.through(2222));
      if (status !== 0) throw new Error(`no login through the proxy: ${stderr}`);
      for (let n = 0; n < 4; n++) if ((await clients.ssh(peer, "true", haproxy.through(2223))).status !== 0) failed++;
    } finally {
      haproxy.stop();
    }
    return [
      exactly(
        "proxy_headers_refused_total",
        4,
        { header: "v1", peer_class: "known" },
        { count: failed, by: "clients" },
      ),
    ];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
