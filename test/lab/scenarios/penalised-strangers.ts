import type { Scenario } from "../scenario.ts";
import { limited } from "./per-source-penalties.ts";

export const penalisedStrangers: Scenario = {
  name: "penalised-strangers",
  title: "strangers are penalised and dropped: what the penalties are for",
  releases: ["13"],
  page: undefined,
  async inject({ host, clients, strangers }) {
    await host.configure("PerSourcePenalties noauth:20s min:15s\n");
    await clients.raw("close", strangers.slice(0, 5), 15, { gapMs: 50 });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const ends = await clients.raw("hold", strangers.slice(0, 5), 10, { gapMs: 50, holdMs: 1000 });
    return [
      {
        metric: "connections_dropped_total",
        labels: { limit: "per_source_penalty" },
        ...{ atLeast: 1, atMost: 10, truth: 10, why: limited },
        witness: { count: ends.filter(({ result }) => result !== "held").length, by: "clients cut off" },
      },
    ];
  },
  heal: ({ host }) => host.configure("", "reload"),
};
