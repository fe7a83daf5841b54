import { cutOff } from "../clients.ts";
import type { Scenario } from "../scenario.ts";

export const openFiles: Scenario = {
  name: "open-files",
  title: "the listener's limit of open files is reached",
  page: "SshdProcessLimit",
  async inject({ host, clients, knownPeers }) {
    // Room for the connection and one more: sshd needs two to hand it over, and one to log that it could not.
    const listener = await host.listener();
    const open = (await host.run(`ls /proc/${listener}/fd`)).trim().split(/\s+/).map(Number);
    const limit = Math.max(open.length + 2, Math.max(...open) + 1);
    await host.run(`prlimit --nofile=${limit}:${limit} --pid ${listener}`);
    const ends = await clients.raw("half", knownPeers, 5, { holdMs: 3000 });
    return [
      {
        metric: "sshd_resource_errors_total",
        labels: { resource: "files" },
        atLeast: 1,
        atMost: 10,
        truth: 5,
        witness: { count: cutOff(ends), by: "clients cut off" },
        why: "how many files a connection needs at once depends on the others",
      },
    ];
  },
  heal: ({ host }) => host.configure(""),
};
