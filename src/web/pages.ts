/** The pages that the exporter answers: the list that its 404 names, and docs/compatibility.md promises. */

export interface Page {
  readonly path: string;
  /** One sentence for the docs. */
  readonly what: string;
}

/** `telemetryPath` is `--web.telemetry-path`. */
export const pages = (telemetryPath: string): readonly Page[] => [
  { path: "/", what: "the status page, for people; its HTML may change at any time" },
  {
    path: telemetryPath,
    what: "metrics; `collect[]=NAME` reads one collector only. Moved by `--web.telemetry-path`",
  },
  { path: "/api/v1/diagnosis", what: "the checklist of the last hour as JSON" },
  { path: "/-/healthy", what: "200 while the process answers" },
  { path: "/-/ready", what: "200 once the sources are open, 503 until then" },
  { path: "/probe", what: "one probe of `target=HOST[:PORT]`, as metrics; `module=ssh`" },
];
