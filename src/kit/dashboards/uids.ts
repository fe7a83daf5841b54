/** Names of the dashboards in addresses, and how an alert's page finds its own. */
import type { KitSettings } from "../settings.ts";

/** Every dashboard of this kit has it; they link to each other by it. */
export const tag = "ssh-reset-exporter";
export const uids = { fleet: "ssh-reset-fleet", host: "ssh-reset-host", exporter: "ssh-reset-exporter" } as const;

/** A Go template for an alert's annotation: the dashboard with the alert's host chosen. */
export const dashboardUrl = (uid: string, { dashboardBase }: KitSettings): string =>
  `${dashboardBase}/d/${uid}?var-job={{ $labels.job | urlquery }}&var-instance={{ $labels.instance | urlquery }}&from=now-3h&to=now`;

/** For alerts whose `instance` is no exporter's: all hosts. */
export const fleetUrl = ({ dashboardBase }: KitSettings): string =>
  `${dashboardBase}/d/${uids.fleet}?from=now-3h&to=now`;
