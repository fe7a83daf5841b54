import type { Scenario } from "../scenario.ts";

export const tasksMax: Scenario = {
  name: "tasks-max",
  title: "TasksMax of ssh.service is used up: sshd cannot fork",
  page: "SshdProcessLimit",
  async inject({ host, clients, knownPeers }) {
    await host.run("systemctl set-property --runtime ssh.service TasksMax=3");
    await clients.raw("half", knownPeers, 10, { holdMs: 4000 });
    return [{ metric: "sshd_resource_errors_total", labels: { resource: "process" }, atLeast: 1 }];
  },
  heal: ({ host }) => host.run("systemctl set-property --runtime ssh.service TasksMax=infinity").then(() => undefined),
};
