import { expect } from "chai";
import { parseSnmp, parseSnmp6, tcpCounters } from "../../src/collectors/tcp-counters.ts";
import { contextOf, healthyHost, hostWith, pathsBelow, table, thisHost } from "./fixture-host.ts";

/** What a path MTU blackhole left (Linux 6.18), cut to the columns read. */
const blackholeNetstat = `TcpExt: EmbryonicRsts ListenOverflows ListenDrops TCPLostRetransmit TCPTimeouts TCPAbortOnData TCPAbortOnClose TCPMTUPFail TCPMTUPSuccess
TcpExt: 0 0 0 1 5 0 5 0 0
IpExt: InNoRoutes InTruncatedPkts
IpExt: 0 0
`;
const blackholeSnmp = `Ip: Forwarding DefaultTTL FragFails
Ip: 2 64 0
Icmp: InDestUnreachs OutDestUnreachs
Icmp: 1 0
Tcp: MaxConn AttemptFails EstabResets RetransSegs OutRsts
Tcp: -1 0 40 14 16
`;

describe("tcp-counters", () => {
  it("reads resets, timeouts and path MTU counters", async () => {
    const root = hostWith({ "proc/net/snmp": blackholeSnmp, "proc/net/netstat": blackholeNetstat });
    const reading = await tcpCounters.create(contextOf(pathsBelow(root))).read();
    expect(reading.status === "ok" && table(reading.samples)).to.deep.equal({
      tcp_established_resets_total: 40,
      tcp_rst_segments_sent_total: 16,
      tcp_attempt_failures_total: 0,
      tcp_retransmitted_segments_total: 14,
      tcp_embryonic_resets_total: 0,
      tcp_aborts_on_data_total: 0,
      tcp_aborts_on_close_total: 5,
      tcp_retransmission_timeouts_total: 5,
      tcp_lost_retransmits_total: 1,
      tcp_listen_overflows_total: 0,
      tcp_listen_drops_total: 0,
      path_mtu_failures_total: 0,
      path_mtu_probe_successes_total: 0,
      'ip_fragmentation_failures_total{family="ipv4"}': 0,
      'icmp_destination_unreachable_received_total{family="ipv4"}': 1,
      'icmp_destination_unreachable_sent_total{family="ipv4"}': 0,
    });
    expect(reading.status === "ok" && reading.missing).to.deep.equal([
      { reason: `${root}/proc/net/snmp6 is not there: IPv6 is off` },
    ]);
  });

  it("reads IPv6's own counters", async () => {
    const reading = await tcpCounters.create(contextOf(pathsBelow(healthyHost))).read();
    expect(reading.status === "ok" && table(reading.samples)).to.include({
      'ip_fragmentation_failures_total{family="ipv6"}': 0,
      'icmp_destination_unreachable_received_total{family="ipv6"}': 7,
      icmp_packet_too_big_received_total: 7,
      icmp_packet_too_big_sent_total: 0,
    });
  });

  it("gives every counter of its list on this machine's kernel", async () => {
    const reading = await tcpCounters.create(contextOf(thisHost)).read();
    const names = new Set(reading.status === "ok" ? reading.samples.map(({ name }) => name) : []);
    expect([...names].sort()).to.deep.equal(tcpCounters.metrics.map(({ name }) => name).sort());
  });

  it("names its kernel document in every help", () => {
    for (const { help } of tcpCounters.metrics)
      expect(help).to.match(/ of \/proc\/net\/\w+, Documentation\/networking\//);
  });

  it("refuses what the kernel does not write", () => {
    expect(() => parseSnmp("Tcp: OutRsts\nUdp: 1\n", "snmp")).to.throw(
      'snmp: "Tcp: OutRsts" and the line after it are no table',
    );
    expect(() => parseSnmp("Tcp: OutRsts\nTcp: 1 2\n", "snmp")).to.throw("are no table");
    expect(() => parseSnmp6("Ip6FragFails\n", "snmp6")).to.throw('snmp6: "Ip6FragFails" is no name and count');
    const root = hostWith({ "proc/net/snmp": "Tcp: OutRsts\nTcp: many\n", "proc/net/netstat": blackholeNetstat });
    expect(() => tcpCounters.create(contextOf(pathsBelow(root))).read()).to.throw('Tcp OutRsts: "many" is no count');
  });
});
