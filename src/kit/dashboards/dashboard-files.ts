/** The generated files below dashboards/: path to text. */
import type { KitSettings } from "../settings.ts";
import { exporterDashboard } from "./exporter.ts";
import { fleet } from "./fleet.ts";
import { hostDashboard } from "./host.ts";

export function dashboardFiles(settings: KitSettings): ReadonlyMap<string, string> {
  return new Map(
    [fleet(settings), hostDashboard(settings), exporterDashboard(settings)].map((dashboard) => [
      `dashboards/${dashboard.uid}.json`,
      `${JSON.stringify(dashboard, null, 2)}\n`,
    ]),
  );
}
