/** The committed dashboards against Grafana's own types: no wrong field, option, enumeration or query. */
import { Ajv, type AnySchema } from "ajv";
import { expect } from "chai";
import { type Dashboard, dashboards, type Panel } from "./expressions.ts";
import { type Shape, schemas } from "./schema.ts";

describe("the dashboards' JSON", function () {
  this.timeout(120_000);
  let errors: (shape: Shape, value: unknown) => string[];
  before(async () => {
    const ajv = new Ajv({ allErrors: true, strict: false });
    const shapes = await schemas();
    const validators = Object.fromEntries(
      Object.entries(shapes).map(([shape, schema]) => [shape, ajv.compile(schema as AnySchema)]),
    );
    errors = (shape, value) => {
      const validate = validators[shape];
      if (validate === undefined) throw new Error(`no shape "${shape}"`);
      if (validate(value)) return [];
      return (validate.errors ?? []).map(
        ({ instancePath, message, params }) => `${shape}${instancePath}: ${message} ${JSON.stringify(params)}`,
      );
    };
  });

  /** Everything wrong about a panel: itself, its options, its field options, its queries. */
  function wrongIn(panel: Panel): string[] {
    const { type, targets = [], options, fieldConfig } = panel;
    if (type === "row") return errors("row", panel);
    const custom = fieldConfig.defaults.custom;
    return [
      ...errors("panel", { ...panel, targets: [] }),
      ...errors(`${type} options` as Shape, options),
      ...(custom === undefined ? [] : errors(`${type} custom` as Shape, custom)),
      ...fieldConfig.overrides.flatMap(({ properties }) => wrongInOverride(type, properties)),
      ...targets.flatMap((target) => errors("query", target)),
    ];
  }

  /** An override's properties are those of a field, `custom.` ones those of the panel's type. */
  function wrongInOverride(
    type: string,
    properties: readonly { readonly id: string; readonly value: unknown }[],
  ): string[] {
    const [own, custom] = [new Map<string, unknown>(), new Map<string, unknown>()];
    for (const { id, value } of properties)
      if (id.startsWith("custom.")) custom.set(id.slice("custom.".length), value);
      else own.set(id, value);
    return [
      ...errors("field", Object.fromEntries(own)),
      ...(custom.size === 0
        ? []
        : errors(`${type} custom` as Shape, { align: "auto", inspect: false, ...Object.fromEntries(custom) })),
    ];
  }

  const wrong = (dashboard: Dashboard): string[] => [
    ...errors("dashboard", { ...dashboard, panels: [] }),
    ...dashboard.panels.flatMap((panel) => wrongIn(panel).map((text) => `${panel.id} ${panel.title}: ${text}`)),
  ];

  for (const dashboard of dashboards)
    it(`${dashboard.uid} is of Grafana's shape`, () => {
      expect(wrong(dashboard)).to.deep.equal([]);
    });

  it("would be found out: wrong field, option, enumeration, query, missing variable type", () => {
    const [fleet] = structuredClone(dashboards) as [Dashboard];
    const graph = fleet.panels.find(({ type }) => type === "timeseries");
    if (graph === undefined) throw new Error("no graph");
    const [target] = graph.targets ?? [];
    const broken: Panel[] = [
      { ...graph, titel: "x" } as Panel,
      { ...graph, options: { ...graph.options, legend: { placement: "middle" } } },
      { ...graph, options: { ...graph.options, stacked: true } },
      { ...graph, fieldConfig: { ...graph.fieldConfig, defaults: { custom: { drawStyle: "curve" } } } },
      {
        ...graph,
        fieldConfig: {
          ...graph.fieldConfig,
          overrides: [{ matcher: { options: "x" }, properties: [{ id: "colour", value: 1 }] }],
        },
      },
      { ...graph, targets: [{ ...target, expression: "up" } as never] },
    ];
    for (const panel of broken) expect(wrongIn(panel), JSON.stringify(panel).slice(0, 80)).to.have.length.above(0);
    expect(wrong({ ...fleet, templating: { list: [{ name: "job", type: "querry" } as never] } })).to.have.length.above(
      0,
    );
  });
});
