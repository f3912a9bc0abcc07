import { useEffect, useState } from "react";
import { Link, useLoaderData, useSearchParams, type LoaderFunctionArgs } from "react-router";
import {
  getAbout,
  getDictionaries,
  getDictionary,
  type Dictionary,
  type DictionarySummary,
} from "../api/client";
import { Crumbs } from "../components/Crumbs";
import { DensityChart } from "../components/DensityChart";
import { KeyHints } from "../components/Help";
import { ParetoPlot } from "../components/ParetoPlot";
import { Stats } from "../components/Stats";
import { compact, count, day, fraction, percent, shortName } from "../format";
import { dictionaryPath, featurePath, homePath } from "../paths";

export async function loadHome({ request }: LoaderFunctionArgs) {
  const [about, dictionaries] = await Promise.all([
    getAbout(request.signal),
    getDictionaries(request.signal),
  ]);
  return { about, dictionaries };
}

/** Which SAE: all of the database, by hook, as a plot and as a table. */
export function HomePage() {
  const { about, dictionaries } = useLoaderData<typeof loadHome>();
  const [parameters] = useSearchParams();
  const places = placesOf(dictionaries);
  const place =
    places.find(
      ({ model, hook }) => model === parameters.get("model") && hook === parameters.get("hook"),
    ) ?? places[0];
  if (!place) return <Empty database={about.database} />;
  return (
    <>
      <Crumbs title="" steps={[{ label: "all SAEs" }]} />
      <h1>
        {shortName(place.model)} <small>{describe(dictionaries, place)}</small>
      </h1>
      {places.length > 1 && (
        <nav className="chips" aria-label="Hooks">
          {places.map(({ model, hook, members }) => (
            <Link
              key={`${model} ${hook}`}
              to={homePath(model, hook)}
              aria-current={model === place.model && hook === place.hook ? "true" : undefined}
              preventScrollReset
            >
              {places.some((other) => other.model !== model) &&
                `${shortName(model)} · `}
              {hook} <span>{members.length}</span>
            </Link>
          ))}
        </nav>
      )}
      <Place key={`${place.model} ${place.hook}`} members={place.members} />
      <KeyHints hints={[]} />
    </>
  );
}

/** The SAEs of one hook; the one that is pointed at is shown in more detail. */
function Place({ members }: { members: DictionarySummary[] }) {
  const best = members.reduce((a, b) => (b.fvu < a.fvu ? b : a));
  const [chosen, choose] = useState(best.name);
  const summary = members.find(({ name }) => name === chosen) ?? best;
  const evaluated = members.some((each) => each.ce_recovered !== null);
  const detail = useDictionary(summary.name);
  return (
    <>
      <div className="cards home">
        <section className="card">
          <h2>Variance unexplained by L0 · lower left is better</h2>
          <ParetoPlot dictionaries={members} chosen={summary.name} onChoose={choose} />
        </section>
        <section className="card" aria-live="polite">
          <h2>
            <Link to={dictionaryPath(summary.name)}>{summary.name}</Link>
          </h2>
          <Stats
            stats={[
              [fraction(summary.fvu), "FVU"],
              [summary.l0.toFixed(1), "L0"],
              ...(summary.ce_recovered === null
                ? []
                : [[fraction(summary.ce_recovered), "CE recovered"] as [string, string]]),
              [percent(summary.dead_fraction), "dead"],
            ]}
          />
          <DensityChart dictionary={detail} />
          <p className="quiet">
            {count(summary.features)} features, trained on {compact(summary.tokens_trained)} tokens,
            analyzed on {compact(summary.tokens_analyzed)} · {day(summary.created)} ·{" "}
            <Link to={featurePath(summary.name, "random")}>random feature</Link>
          </p>
        </section>
      </div>
      <div className="scroll">
        <table>
          <thead>
            <tr>
              <th scope="col">SAE</th>
              <th scope="col" className="text">
                architecture
              </th>
              <th scope="col">features</th>
              <th scope="col">L0</th>
              <th scope="col">FVU</th>
              {evaluated && <th scope="col">CE recovered</th>}
              <th scope="col">dead</th>
              <th scope="col">trained on</th>
              <th scope="col">analyzed on</th>
              <th scope="col">analyzed</th>
            </tr>
          </thead>
          <tbody>
            {members.map((each) => (
              <tr
                key={each.name}
                className={each.name === summary.name ? "chosen" : undefined}
                onPointerEnter={() => choose(each.name)}
                onFocus={() => choose(each.name)}
              >
                <td>
                  <Link to={dictionaryPath(each.name)} className="whole-row">
                    {each.name}
                  </Link>
                </td>
                <td className="text">
                  <i className={`dot ${each.architecture}`} /> {each.architecture}
                </td>
                <td>{count(each.features)}</td>
                <td>{each.l0.toFixed(1)}</td>
                <td>{fraction(each.fvu)}</td>
                {evaluated && (
                  <td>{each.ce_recovered === null ? "–" : fraction(each.ce_recovered)}</td>
                )}
                <td>{percent(each.dead_fraction)}</td>
                <td>{compact(each.tokens_trained)}</td>
                <td>{compact(each.tokens_analyzed)}</td>
                <td>{day(each.created)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Empty({ database }: { database: string }) {
  return (
    <section className="message">
      <Crumbs title="" steps={[{ label: "all SAEs" }]} />
      <h1>No SAEs yet</h1>
      <p>The database ({database}) is empty. This fills it with the SAEs of a run:</p>
      <pre>lmsaes analyze RUN</pre>
      <p>And this makes a first run, on the small model that comes with lmsaes:</p>
      <pre>lmsaes demo</pre>
    </section>
  );
}

interface PlaceOf {
  model: string;
  hook: string;
  members: DictionarySummary[];
}

function placesOf(dictionaries: DictionarySummary[]): PlaceOf[] {
  const places = new Map<string, PlaceOf>();
  for (const each of dictionaries) {
    const key = `${each.model} ${each.hook}`;
    const place = places.get(key) ?? { model: each.model, hook: each.hook, members: [] };
    place.members.push(each);
    places.set(key, place);
  }
  return [...places.values()].toSorted(
    (a, b) =>
      a.model.localeCompare(b.model) || a.hook.localeCompare(b.hook, "en", { numeric: true }),
  );
}

function describe(dictionaries: DictionarySummary[], { model, members }: PlaceOf): string {
  const ofModel = dictionaries.filter((each) => each.model === model);
  const hooks = new Set(ofModel.map(({ hook }) => hook)).size;
  const texts = new Set(members.map(({ dataset }) => dataset));
  return [
    hooks === 1 ? (members[0]?.hook ?? "") : `${hooks} hooks`,
    `${ofModel.length} SAE${ofModel.length === 1 ? "" : "s"}`,
    ...[...texts].map(shortName),
  ].join(" · ");
}

/** One SAE in full, or undefined until it is there; the table says what matters without it. */
function useDictionary(name: string): Dictionary | undefined {
  const [dictionary, setDictionary] = useState<Dictionary>();
  useEffect(() => {
    const asking = new AbortController();
    getDictionary(name, asking.signal).then(setDictionary, () => setDictionary(undefined));
    return () => asking.abort();
  }, [name]);
  return dictionary?.name === name ? dictionary : undefined;
}
