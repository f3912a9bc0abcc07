import "./former.css";
import { useMemo } from "react";
import { Link, useLoaderData, useNavigate, useSearchParams, type LoaderFunctionArgs } from "react-router";
import { getFeatures, getSAE, type SAE } from "../api/client";
import { Crumbs } from "../components/Crumbs";
import { DensityChart } from "../components/DensityChart";
import { FeatureTable } from "../components/FeatureTable";
import { Stats } from "../components/Stats";
import { compact, count, decimal, fraction, percent, shortName } from "../format";
import { useKeys } from "../keys";
import { featurePath, hookCrumb } from "../paths";
import { PAGE, readTable, writeTable, type TableState } from "../table";

export async function loadSAE({ params, request }: LoaderFunctionArgs) {
  const name = params.name ?? "";
  const state = readTable(new URL(request.url).searchParams);
  const [sae, table] = await Promise.all([
    getSAE(name, request.signal),
    getFeatures(
      name,
      {
        sort: state.sort,
        order: state.order,
        filter: state.filter,
        offset: (state.page - 1) * PAGE,
        limit: PAGE,
      },
      request.signal,
    ),
  ]);
  return { sae, table };
}

/** Is it any good, and where are the interesting features? */
export function SAEPage() {
  const { sae, table } = useLoaderData<typeof loadSAE>();
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const state = readTable(parameters);
  const pages = Math.max(Math.ceil(table.total / PAGE), 1);
  const { name } = sae;

  const keys = useMemo(() => {
    const turn = (page: number) => {
      if (page < 1 || page > pages) return;
      void navigate(writeTable({ ...readTable(parameters), page }), { preventScrollReset: true });
    };
    return {
      ArrowLeft: () => turn(state.page - 1),
      ArrowRight: () => turn(state.page + 1),
      r: () => void navigate(featurePath(name, "random")),
    };
  }, [navigate, parameters, pages, state.page, name]);
  useKeys("Page", Object.entries(keys).map(([key, run]) => ({ keys: [key], does: key, run })));

  return (
    <>
      <Crumbs title={name} crumbs={[hookCrumb(sae), { label: name }]} />
      <h1>
        {name}{" "}
        <small>
          {count(sae.features)} features · {shortName(sae.model)} · {sae.hook} ·{" "}
          <Link to={featurePath(name, "random")}>random feature →</Link>
        </small>
      </h1>
      <Stats stats={numbers(sae)} />
      <div className="cards sae">
        <section className="card">
          <h2>Features by density, share of tokens on which they are active</h2>
          <DensityChart sae={sae} />
        </section>
        <section className="card">
          <h2>Trained with</h2>
          <Settings config={sae.config} />
        </section>
      </div>
      <FeatureTable name={name} table={table} state={state} counts={chips(sae)} pages={pages} />
    </>
  );
}

function numbers(sae: SAE): [string, string][] {
  return [
    [fraction(sae.fvu), "FVU"],
    [decimal(sae.l0), "L0"],
    [fraction(sae.ce_recovered), "CE recovered"],
    [percent(sae.dead_fraction), "dead"],
    [percent(sae.density_classes.dense / sae.features_analyzed), "dense"],
    [compact(sae.tokens_analyzed), "tokens analyzed"],
    [compact(sae.tokens_trained), "tokens trained"],
  ];
}

function chips({ density_classes: classes, features_analyzed }: SAE): [TableState["filter"], number][] {
  return [
    ["regular", classes.regular],
    ["dense", classes.dense],
    ["dead", classes.dead],
    ["all", features_analyzed],
  ];
}

/** What an SAE was trained with, as its configuration names it. */
function Settings({ config }: { config: SAE["config"] }) {
  return (
    <dl className="settings">
      {flat(config).map(([key, value]) => (
        <div key={key}>
          <dt>{key}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** Names and values of nested settings: `optimizer.lr`; what is not set is left out. */
function flat(config: SAE["config"], above = ""): [string, string][] {
  return Object.entries(config).flatMap(([key, value]): [string, string][] => {
    if (value === null || value === undefined) return [];
    if (Array.isArray(value)) return value.length ? [[above + key, value.join(", ")]] : [];
    if (typeof value === "object") {
      return flat(value as SAE["config"], `${above}${key}.`);
    }
    return [[above + key, String(value)]];
  });
}
