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
    return [exactly("connections_dropped_total", cutOff([...probes, ...ends]), { limit: "per_source_penalty" })];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
