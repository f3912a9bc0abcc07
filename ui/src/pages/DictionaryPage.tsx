import { useMemo } from "react";
import { Link, useLoaderData, useNavigate, useSearchParams, type LoaderFunctionArgs } from "react-router";
import { getDictionary, getFeatures, type Dictionary } from "../api/client";
import { Crumbs } from "../components/Crumbs";
import { DensityChart } from "../components/DensityChart";
import { FeatureTable } from "../components/FeatureTable";
import { KeyHints } from "../components/Help";
import { Stats } from "../components/Stats";
import { compact, count, fraction, percent, shortName } from "../format";
import { useKeys } from "../keys";
import { featurePath, hookStep } from "../paths";
import { PAGE, readTable, writeTable, type TableState } from "../table";

export async function loadDictionary({ params, request }: LoaderFunctionArgs) {
  const name = params.name ?? "";
  const state = readTable(new URL(request.url).searchParams);
  const [dictionary, table] = await Promise.all([
    getDictionary(name, request.signal),
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
  return { dictionary, table };
}

/** Is it any good, and where are the interesting features? */
export function DictionaryPage() {
  const { dictionary, table } = useLoaderData<typeof loadDictionary>();
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const state = readTable(parameters);
  const pages = Math.max(Math.ceil(table.total / PAGE), 1);
  const { name } = dictionary;

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
  useKeys(keys);

  return (
    <>
      <Crumbs title={name} steps={[hookStep(dictionary), { label: name }]} />
      <h1>
        {name}{" "}
        <small>
          {count(dictionary.features)} features · {shortName(dictionary.model)} · {dictionary.hook} ·{" "}
          <Link to={featurePath(name, "random")}>random feature →</Link>
        </small>
      </h1>
      <Stats stats={numbers(dictionary)} />
      <div className="cards sae">
        <section className="card">
          <h2>Features by density, share of tokens on which they are active</h2>
          <DensityChart dictionary={dictionary} />
        </section>
        <section className="card">
          <h2>Trained with</h2>
          <Settings config={dictionary.config} />
        </section>
      </div>
      <FeatureTable name={name} table={table} state={state} counts={chips(dictionary)} pages={pages} />
      <KeyHints
        hints={[
          [["←", "→"], "pages"],
          [["r"], "random feature"],
        ]}
      />
    </>
  );
}

function numbers(dictionary: Dictionary): [string, string][] {
  return [
    [fraction(dictionary.fvu), "FVU"],
    [dictionary.l0.toFixed(1), "L0"],
    ...(dictionary.ce_recovered === null
      ? []
      : [[fraction(dictionary.ce_recovered), "CE recovered"] as [string, string]]),
    [percent(dictionary.dead_fraction), "dead"],
    [percent(dictionary.kinds.dense / dictionary.features_analyzed), "dense"],
    [compact(dictionary.tokens_analyzed), "tokens analyzed"],
    [compact(dictionary.tokens_trained), "tokens trained"],
  ];
}

function chips({ kinds, features_analyzed }: Dictionary): [TableState["filter"], number][] {
  return [
    ["ordinary", kinds.ordinary],
    ["dense", kinds.dense],
    ["dead", kinds.dead],
    ["all", features_analyzed],
  ];
}

/** What an SAE was trained with, as its configuration names it. */
function Settings({ config }: { config: Dictionary["config"] }) {
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
function flat(config: Dictionary["config"], above = ""): [string, string][] {
  return Object.entries(config).flatMap(([key, value]): [string, string][] => {
    if (value === null || value === undefined) return [];
    if (Array.isArray(value)) return value.length ? [[above + key, value.join(", ")]] : [];
    if (typeof value === "object") {
      return flat(value as Dictionary["config"], `${above}${key}.`);
    }
    return [[above + key, String(value)]];
  });
}
