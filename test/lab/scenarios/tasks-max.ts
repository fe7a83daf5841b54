import { cutOff } from "../clients.ts";
import type { Scenario } from "../scenario.ts";

export const tasksMax: Scenario = {
  name: "tasks-max",
  title: "TasksMax of ssh.service is used up: sshd cannot fork",
  alone: { kind: "pids", why: "every host of this machine sees the kernel's lines about rejected forks" },
  page: "SshdProcessLimit",
  async inject({ host, clients, knownPeers }) {
    await host.run("systemctl set-property --runtime ssh.service TasksMax=3");
    const ends = await clients.raw("half", knownPeers, 10, { holdMs: 4000 });
    return [
      {
        metric: "sshd_resource_errors_total",
        labels: { resource: "process" },
        atLeast: 1,
        atMost: 20,
        truth: 10,
        witness: { count: cutOff(ends), by: "clients cut off" },
        why: "a connection fails at the listener's fork or at one of its own, and each logs its error",
      },
    ];
  },
  heal: ({ host }) => host.run("systemctl set-property --runtime ssh.service TasksMax=infinity").then(() => undefined),
};
