import "./former.css";
import { useMemo } from "react";
import {
  Link,
  redirect,
  useLoaderData,
  useNavigate,
  useSearchParams,
  type LoaderFunctionArgs,
} from "react-router";
import { getContexts, getFeature, getRandomFeature, getSAE, type Feature } from "../api/client";
import { Bars } from "../components/Bars";
import { ContextList, WINDOW } from "../components/ContextList";
import { Crumbs } from "../components/Crumbs";
import { Stats } from "../components/Stats";
import { WeightBars } from "../components/WeightBars";
import { activation, compact, count, percent } from "../format";
import { useKeys } from "../keys";
import { crumbsTo, featurePath } from "../paths";

const FIRST_CONTEXTS = 20;
const MOST_CONTEXTS = 100;

export async function loadFeature({ params, request }: LoaderFunctionArgs) {
  const name = params.name ?? "";
  const index = Number(params.index);
  const all = new URL(request.url).searchParams.has("all");
  const limit = all ? MOST_CONTEXTS : FIRST_CONTEXTS;
  const [sae, feature, contexts] = await Promise.all([
    getSAE(name, request.signal),
    getFeature(name, index, request.signal),
    getContexts(name, index, limit, request.signal),
  ]);
  return { sae, feature, contexts };
}

export async function loadRandomFeature({ params, request }: LoaderFunctionArgs) {
  const name = params.name ?? "";
  const { index } = await getRandomFeature(name, request.signal);
  return redirect(featurePath(name, index) + new URL(request.url).search);
}

/** What is it, how does it fire, what does it do, show me. */
export function FeaturePage() {
  const { sae, feature, contexts } = useLoaderData<typeof loadFeature>();
  const [parameters] = useSearchParams();
  const whole = parameters.has("whole");
  const { sae: name, index, previous, next } = feature;
  const query = whole ? "?whole" : "";
  useFeatureKeys(feature, query);

  return (
    <>
      <Crumbs
        title={`${index} · ${name}`}
        crumbs={[...crumbsTo(sae), { label: `feature ${count(index)}` }]}
      />
      <h1>
        {count(index)}{" "}
        <small>
          <nav aria-label="Features">
            <Neighbor to={previous} name={name} query={query}>
              ← previous
            </Neighbor>
            {" · "}
            <Link to={featurePath(name, "random") + query} preventScrollReset>
              random
            </Link>
            {" · "}
            <Neighbor to={next} name={name} query={query}>
              next →
            </Neighbor>
          </nav>
        </small>
      </h1>
      <Stats
        stats={[
          [percent(feature.density), "of tokens"],
          [activation(feature.maximum), "maximum"],
          [activation(feature.mean), "mean when firing"],
          [count(feature.firings), `firings in ${compact(feature.tokens_analyzed)}`],
          [feature.density_class, "density class"],
        ]}
      />
      <div className="cards feature">
        <section className="card">
          <h2>Activations, log count</h2>
          <ActivationHistogram feature={feature} />
        </section>
        <section className="card">
          <h2>Promotes</h2>
          <WeightBars weights={feature.promotes} kind="promotes" />
        </section>
        <section className="card">
          <h2>Suppresses</h2>
          <WeightBars weights={feature.suppresses} kind="suppresses" />
        </section>
      </div>
      <section aria-labelledby="top">
        <div className="tabs">
          <h2 id="top">{contexts.total === 0 ? "Contexts" : `Top ${contexts.total}`}</h2>
          {contexts.total > 0 && <Switch whole={whole} parameters={parameters} />}
        </div>
        {contexts.total === 0 ? (
          <p className="quiet">
            Not active on any of the {compact(feature.tokens_analyzed)} tokens analyzed.
          </p>
        ) : (
          <ContextList
            key={`${name} ${index}`}
            contexts={contexts.contexts}
            maximum={feature.maximum}
            whole={whole}
          />
        )}
        {contexts.contexts.length < contexts.total && (
          <p className="more">
            <Link to={`?${whole ? "whole&" : ""}all`} preventScrollReset replace>
              show all {contexts.total}
            </Link>
          </p>
        )}
      </section>
    </>
  );
}

function useFeatureKeys({ sae, previous, next }: Feature, query: string) {
  const navigate = useNavigate();
  const keys = useMemo(() => {
    const go = (index: number | "random" | null) => {
      if (index === null) return;
      void navigate(featurePath(sae, index) + query, { preventScrollReset: true });
    };
    return { ArrowLeft: () => go(previous), ArrowRight: () => go(next), r: () => go("random") };
  }, [navigate, sae, previous, next, query]);
  useKeys("Page", Object.entries(keys).map(([key, run]) => ({ keys: [key], does: key === "r" ? "random feature" : key, run })));
}

function Neighbor({
  to,
  name,
  query,
  children,
}: {
  to: number | null;
  name: string;
  query: string;
  children: string;
}) {
  if (to === null) return <span className="off">{children}</span>;
  return (
    <Link to={featurePath(name, to) + query} preventScrollReset>
      {children}
    </Link>
  );
}

/** Whole contexts, or the surroundings of each maximum. */
function Switch({ whole, parameters }: { whole: boolean; parameters: URLSearchParams }) {
  const all = parameters.has("all") ? "all" : "";
  const choices: [string, boolean, string][] = [
    [`± ${WINDOW} tokens`, false, `?${all}`],
    ["whole context", true, `?whole${all && "&all"}`],
  ];
  return (
    <nav className="switch" aria-label="Length of contexts">
      {choices.map(([label, value, to]) => (
        <Link
          key={label}
          to={to}
          aria-current={whole === value ? "true" : undefined}
          preventScrollReset
          replace
        >
          {label}
        </Link>
      ))}
    </nav>
  );
}

function ActivationHistogram({ feature }: { feature: Feature }) {
  const { counts, upper } = feature.histogram;
  if (feature.firings === 0) return <p className="quiet">Never active.</p>;
  const width = upper / counts.length;
  return (
    <figure className="histogram">
      <Bars
        counts={counts}
        logarithmic
        label={`${count(feature.firings)} activations from 0 to ${activation(upper)}`}
        describe={(bar) =>
          `${activation(bar * width)} to ${activation((bar + 1) * width)}: ` +
          `${count(counts[bar] ?? 0)} tokens`
        }
      />
      <div className="axis" aria-hidden="true">
        <span>0</span>
        <span>{activation(upper / 2)}</span>
        <span>{activation(upper)}</span>
      </div>
    </figure>
  );
}
