/** Two parts of the package by themselves: as a whole it takes 1 MB of memory, and a fifth of the exporter's start. */
declare module "systeminformation/lib/osinfo.js" {
  import type { Systeminformation } from "systeminformation";

  const osinfo: { osInfo(): Promise<Systeminformation.OsData> };
  export = osinfo;
}
declare module "systeminformation/lib/system.js" {
  import type { Systeminformation } from "systeminformation";

  const system: { system(): Promise<Systeminformation.SystemData> };
  export = system;
}
