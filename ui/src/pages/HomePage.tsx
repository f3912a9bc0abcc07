import "./former.css";
import { useEffect, useState } from "react";
import { Link, useLoaderData, useSearchParams, type LoaderFunctionArgs } from "react-router";
import {
  getAbout,
  getSAE,
  getSAEs,
  getUnreadable,
  type About,
  type SAE,
  type SAESummary,
  type UnreadableSAE,
} from "../api/client";
import { Crumbs } from "../components/Crumbs";
import { DensityChart } from "../components/DensityChart";
import { ParetoPlot } from "../components/ParetoPlot";
import { Stats } from "../components/Stats";
import { ANALYZE, ANALYZE_DEMO, DEMO, withDatabase } from "../commands";
import { compact, count, day, decimal, fraction, percent, shortName } from "../format";
import { featurePath, homePath, saePath } from "../paths";

export async function loadHome({ request }: LoaderFunctionArgs) {
  const [about, saes, unreadable] = await Promise.all([
    getAbout(request.signal),
    getSAEs(request.signal),
    getUnreadable(request.signal),
  ]);
  return { about, saes, unreadable };
}

/** Which SAE: all of the database, by hook, as a plot and as a table. */
export function HomePage() {
  const { about, saes, unreadable } = useLoaderData<typeof loadHome>();
  const [parameters] = useSearchParams();
  const groups = groupByHook(saes);
  const group =
    groups.find(
      ({ model, hook }) => model === parameters.get("model") && hook === parameters.get("hook"),
    ) ?? groups[0];
  if (!group) {
    return (
      <>
        <Unreadable saes={unreadable} />
        <Empty about={about} />
      </>
    );
  }
  return (
    <>
      <Crumbs title="" crumbs={[{ label: "all SAEs" }]} />
      <h1>
        {shortName(group.model)} <small>{describe(saes, group)}</small>
      </h1>
      {groups.length > 1 && (
        <nav className="chips" aria-label="Hooks">
          {groups.map(({ model, hook, members }) => (
            <Link
              key={`${model} ${hook}`}
              to={homePath(model, hook)}
              aria-current={model === group.model && hook === group.hook ? "true" : undefined}
              preventScrollReset
            >
              {groups.some((other) => other.model !== model) && `${shortName(model)} · `}
              {hook} <span>{members.length}</span>
            </Link>
          ))}
        </nav>
      )}
      <Hook key={`${group.model} ${group.hook}`} members={group.members} />
      <Unreadable saes={unreadable} />
    </>
  );
}

/** The SAEs of one hook; the one that is pointed at is shown in more detail. */
function Hook({ members }: { members: SAESummary[] }) {
  const best = members.reduce((a, b) => ((b.fvu ?? Infinity) < (a.fvu ?? Infinity) ? b : a));
  const [chosen, choose] = useState(best.name);
  const summary = members.find(({ name }) => name === chosen) ?? best;
  const evaluated = members.some((each) => each.ce_recovered !== null);
  const detail = useSAE(summary.name);
  return (
    <>
      <div className="cards home">
        <section className="card">
          <h2>FVU against L0 · lower left is better</h2>
          <ParetoPlot saes={members} chosen={summary.name} onChoose={choose} />
        </section>
        <section className="card" aria-live="polite">
          <h2>
            <Link to={saePath(summary.name)}>{summary.name}</Link>
          </h2>
          <Stats
            stats={[
              [fraction(summary.fvu), "FVU"],
              [decimal(summary.l0), "L0"],
              [fraction(summary.ce_recovered), "CE recovered"],
              [percent(summary.dead_fraction), "dead"],
            ]}
          />
          <DensityChart sae={detail} />
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
                  <Link to={saePath(each.name)} className="whole-row">
                    {each.name}
                  </Link>
                </td>
                <td className="text">
                  <i className={`dot ${each.architecture}`} /> {each.architecture}
                </td>
                <td>{count(each.features)}</td>
                <td>{decimal(each.l0)}</td>
                <td>{fraction(each.fvu)}</td>
                {evaluated && <td>{fraction(each.ce_recovered)}</td>}
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

/** SAEs that the database has and this version can't read; they hide no other. */
function Unreadable({ saes }: { saes: UnreadableSAE[] }) {
  return saes.map(({ name, problem, hint }) => (
    <p key={name} className="quiet" role="note">
      {name} can't be read: {problem} ({hint})
    </p>
  ));
}

function Empty({ about }: { about: About }) {
  return (
    <section className="message">
      <Crumbs title="" crumbs={[{ label: "all SAEs" }]} />
      <h1>No SAEs yet</h1>
      <p>The database ({about.database}) is empty. This command analyzes the SAEs of a run:</p>
      <Command line={withDatabase(ANALYZE, about)} />
      <p>These commands make a first run, on the small model that comes with lmsaes, and analyze it:</p>
      <Command line={DEMO} />
      <Command line={withDatabase(ANALYZE_DEMO, about)} />
      {about.database_uri !== null && (
        <p className="quiet">If the database has accounts, add user and password to its address.</p>
      )}
    </section>
  );
}

/** A command line that is broken between words alone: a browser breaks `--db` after a hyphen. */
function Command({ line }: { line: string }) {
  return (
    <pre>
      {line.split(/(?<= )/).map((word) => (
        <span key={word}>{word}</span>
      ))}
    </pre>
  );
}

interface HookGroup {
  model: string;
  hook: string;
  members: SAESummary[];
}

function groupByHook(saes: SAESummary[]): HookGroup[] {
  const groups = new Map<string, HookGroup>();
  for (const each of saes) {
    const key = `${each.model} ${each.hook}`;
    const group = groups.get(key) ?? { model: each.model, hook: each.hook, members: [] };
    group.members.push(each);
    groups.set(key, group);
  }
  return [...groups.values()].toSorted(
    (a, b) =>
      a.model.localeCompare(b.model) || a.hook.localeCompare(b.hook, "en", { numeric: true }),
  );
}

function describe(saes: SAESummary[], { model, members }: HookGroup): string {
  const ofModel = saes.filter((each) => each.model === model);
  const hooks = new Set(ofModel.map(({ hook }) => hook)).size;
  const texts = new Set(members.map(({ dataset }) => dataset));
  return [
    hooks === 1 ? (members[0]?.hook ?? "") : `${hooks} hooks`,
    `${ofModel.length} SAE${ofModel.length === 1 ? "" : "s"}`,
    ...[...texts].map(shortName),
  ].join(" · ");
}

/** One SAE in full, or undefined until it is there; the table says what matters without it. */
function useSAE(name: string): SAE | undefined {
  const [sae, setSAE] = useState<SAE>();
  useEffect(() => {
    const request = new AbortController();
    getSAE(name, request.signal).then(setSAE, () => setSAE(undefined));
    return () => request.abort();
  }, [name]);
  return sae?.name === name ? sae : undefined;
}
