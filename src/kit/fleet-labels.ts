/**
 * The labels that say where in the fleet a host is: users attach them to targets in their scrape configuration, or as
 * external labels of the Prometheus that forwards to a central one. All are optional. Only this file names them.
 */

/** What hosts may share: who runs them, the network they are in, the balancer that SSH reaches them through. */
export const fleetLabels = { cluster: "cluster", network: "network", loadBalancer: "load_balancer" } as const;

/** What a vector of hosts is grouped by. Labels that a host does not have are not there, and group nothing. */
export const hostLabels = ["job", "instance", ...Object.values(fleetLabels)].join(", ");
