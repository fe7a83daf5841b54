/** Two parts of the package by themselves: as a whole it takes 1 MB of memory, and a fifth of the exporter's start. */
declare module "systeminformation/lib/osinfo.js" {
  import type { Systeminformation } from "systeminformation";
  export function osInfo(): Promise<Systeminformation.OsData>;
}
declare module "systeminformation/lib/system.js" {
  import type { Systeminformation } from "systeminformation";
  export function system(): Promise<Systeminformation.SystemData>;
}
