/** docs/idle-timeouts.md: which product cuts idle connections when, with its source. */
import { idleTimeouts } from "../model/idle-timeouts.ts";

export function idleTimeoutsDoc(): string {
  const rows = idleTimeouts.map(
    ({ seconds, product, restartedBy, source }) =>
      `| ${seconds} s | ${product} | ${restartedBy === "packet" ? "any packet" : "data only"} | ${source} |`,
  );
  return `# Idle timeouts of known products

Defaults; most can be changed. A session that is cut at one of these ages, within 5 s, is counted under it in
\`sshreset_sessions_cut_idle_total\`. A proxy ends TCP on both sides: it answers keep-alive probes itself, and only data
starts its clock anew ([proxies.md](proxies.md)). This page is generated: \`npm run kit\`.

| after | product | clock restarted by | source |
|---|---|---|---|
${rows.join("\n")}
`;
}
