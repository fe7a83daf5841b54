// Runs in the client's namespace: for each JSON line on standard input one connection, and a line of what came of it.
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { createInterface } from "node:readline";

/** Destination unreachable messages that this namespace has got, of both protocols. */
function unreachables() {
  const [names, values] = readFileSync("/proc/net/snmp", "utf8")
    .match(/^Icmp:.*$/gm)
    .map((line) => line.split(" "));
  const six = /^Icmp6InDestUnreachs\s+(\d+)/m.exec(readFileSync("/proc/net/snmp6", "utf8"))?.[1] ?? 0;
  return Number(values[names.indexOf("InDestUnreachs")]) + Number(six);
}

function attempt({ host, port, localAddress, timeoutMs }) {
  return new Promise((resolve) => {
    const before = unreachables();
    let connected = false;
    const socket = connect({ host, port, localAddress });
    const end = (outcome) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end(connected ? "mute" : "dropped"), timeoutMs);
    socket.on("connect", () => {
      connected = true;
      socket.write("SSH-2.0-audit\r\n");
    });
    socket.on("data", () => end("pass"));
    socket.on("error", () => end(unreachables() > before ? "rejected" : "reset"));
  });
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${await attempt(JSON.parse(line))}\n`);
}
