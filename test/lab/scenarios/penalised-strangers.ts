import { cutOff } from "../clients.ts";
import { exactly, type Scenario } from "../scenario.ts";

export const penalisedStrangers: Scenario = {
  name: "penalised-strangers",
  title: "strangers are penalised and dropped: what the penalties are for",
  releases: ["13"],
  page: undefined,
  async inject({ host, clients, strangers }) {
    await host.configure("PerSourcePenalties noauth:20s min:15s\n");
    const probes = await clients.raw("close", strangers.slice(0, 5), 15, { gapMs: 200 });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const ends = await clients.raw("hold", strangers.slice(0, 5), 10, { gapMs: 200, holdMs: 2000 });
    const dropped = cutOff([...probes, ...ends]);
    return [
      {
        ...exactly("connections_dropped_total", dropped, { limit: "per_source_penalty" }),
        atLeast: 1,
        why: "OpenSSH 10 limits the rate of these lines, and tells how many more there were only after two minutes",
      },
    ];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
