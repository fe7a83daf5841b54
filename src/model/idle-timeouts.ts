/**
 * Which known product forgets or closes a connection after which idle time, and whether sshd's keep-alive would have kept
 * it open. Values are defaults: each product's own documentation, as `source` names it.
 */

export interface IdleTimeout {
  readonly seconds: number;
  readonly product: string;
  /** What starts its clock anew: any packet, or only data. A proxy ends TCP on both sides: keep-alive probes are answered, and do not count. */
  readonly restartedBy: "packet" | "data";
  readonly source: string;
}

export const idleTimeouts: readonly IdleTimeout[] = [
  {
    seconds: 50,
    product: "haproxy as Debian ships it",
    restartedBy: "data",
    source: "package haproxy, /etc/haproxy/haproxy.cfg, timeout client and timeout server",
  },
  {
    seconds: 60,
    product: "AWS Classic Load Balancer",
    restartedBy: "data",
    source: "Elastic Load Balancing, User Guide for Classic Load Balancers, Configure the idle connection timeout",
  },
  {
    seconds: 240,
    product: "Azure Load Balancer",
    restartedBy: "packet",
    source: "Azure Load Balancer documentation, Configure TCP reset and idle timeout",
  },
  {
    seconds: 240,
    product: "Azure NAT Gateway",
    restartedBy: "packet",
    source: "Azure NAT Gateway documentation, TCP idle timeout",
  },
  {
    seconds: 240,
    product: "Azure Firewall",
    restartedBy: "packet",
    source: "Azure Firewall documentation, TCP idle timeout behavior and long-running TCP sessions",
  },
  {
    seconds: 350,
    product: "AWS Network Load Balancer",
    restartedBy: "packet",
    source: "AWS Networking blog, Introducing NLB TCP configurable idle timeout",
  },
  {
    seconds: 350,
    product: "AWS Network Firewall",
    restartedBy: "packet",
    source: "AWS Network Firewall API, FlowTimeouts, TcpIdleTimeoutSeconds",
  },
  {
    seconds: 350,
    product: "security groups of AWS Nitro v6 instances",
    restartedBy: "packet",
    source: "Amazon EC2 API, ConnectionTrackingConfiguration, tcpEstablishedTimeout",
  },
  {
    seconds: 600,
    product: "Google Cloud's VPC firewall",
    restartedBy: "packet",
    source: "Compute Engine documentation, Troubleshooting, general tips",
  },
  {
    seconds: 600,
    product: "nginx (stream)",
    restartedBy: "data",
    source: "nginx documentation, ngx_stream_proxy_module, proxy_timeout",
  },
  {
    seconds: 1200,
    product: "Google Cloud NAT",
    restartedBy: "packet",
    source: "Cloud NAT documentation, NAT timeouts, tcp-established-idle-timeout",
  },
  {
    seconds: 3600,
    product: "FortiGate",
    restartedBy: "packet",
    source: "FortiOS CLI reference, config system session-ttl",
  },
  {
    seconds: 3600,
    product: "Envoy (tcp_proxy)",
    restartedBy: "data",
    source: "Envoy documentation, tcp_proxy, idle_timeout",
  },
];

/** Each once, the shortest first. */
export const knownIdleSeconds: readonly number[] = [...new Set(idleTimeouts.map(({ seconds }) => seconds))];

/** `AWS Network Load Balancer, AWS Network Firewall`; empty where no known product has it. */
export function productsWith(seconds: number): string {
  return idleTimeouts
    .filter((known) => known.seconds === seconds)
    .map(({ product }) => product)
    .join(", ");
}

export interface KeepAlive {
  /** 0: sshd sends nothing over an idle session. */
  readonly clientAliveSeconds: number;
  readonly tcpKeepAlive: boolean;
  /** net.ipv4.tcp_keepalive_time: when the kernel's first probe is sent; once answered, the next one as much later. */
  readonly kernelSeconds: number;
}

/** net.ipv4.tcp_keepalive_time where nobody set it (Documentation/networking/ip-sysctl.rst). */
export const defaultKernelSeconds = 7200;

/** Whether an idle session would have lived on. */
export function outlives(
  { clientAliveSeconds, tcpKeepAlive, kernelSeconds }: KeepAlive,
  { seconds, restartedBy }: Pick<IdleTimeout, "seconds" | "restartedBy">,
): boolean {
  if (clientAliveSeconds > 0 && clientAliveSeconds < seconds) return true;
  return restartedBy === "packet" && tcpKeepAlive && kernelSeconds < seconds;
}

/** What is sent over an idle session, as in `ClientAliveInterval 0 sends nothing, TCPKeepAlive's first probe comes after 7200 s`. */
export function keepAliveText({ clientAliveSeconds, tcpKeepAlive, kernelSeconds }: KeepAlive): string {
  const sshd =
    clientAliveSeconds === 0
      ? "ClientAliveInterval 0 sends nothing"
      : `ClientAliveInterval ${clientAliveSeconds} sends something every ${clientAliveSeconds} s`;
  return `${sshd}, ${tcpKeepAlive ? `TCPKeepAlive's first probe comes after ${kernelSeconds} s` : "TCPKeepAlive is off"}`;
}
