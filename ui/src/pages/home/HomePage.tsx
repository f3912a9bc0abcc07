import { useDeferredValue, useMemo, useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import type { SAESummary, UnreadableSAE } from "../../api/client";
import { Segments } from "../../components/lab/Segments";
import { colorOf } from "../../components/plots/colors";
import { Failed, Skeleton } from "../../components/States";
import { compact, count, decimal, fraction, percent, shortName } from "../../format";
import { useKeys } from "../../keys";
import { usePage } from "../../page";
import { compareSAEs } from "../../paths";
import { useCurves, useHome, type Series } from "./data";
import { EmptyHome } from "./EmptyHome";
import { COLUMNS, HomeTable } from "./HomeTable";
import { byHook, hookName, pointsOf, type HookGroup, type Measure } from "./hooks";
import { ParetoPlot } from "./ParetoPlot";
import { marked as markedWith, matches, sorted } from "./rows";
import { TrainingCurves } from "./TrainingCurves";
import "../../components/lab/lab.css";
import "./home.css";

/** Which SAE: all of the database by hook, as a plot, as training curves and as a table. */
export function HomePage() {
  const { about, saes, unreadable } = useHome();
  const [parameters, setParameters] = useSearchParams();
  usePage({ title: "SAEs", crumbs: [{ label: saes.data?.length === 0 ? "no SAEs yet" : "all SAEs" }] });
  const groups = useMemo(() => byHook(saes.data ?? []), [saes.data]);
  const group =
    groups.find(
      (each) =>
        each.model === parameters.get("model") &&
        each.hook === parameters.get("hook") &&
        each.target === parameters.get("target"),
    ) ?? groups[0];
  if (saes.error) {
    return (
      <div className="wrap">
        <h1>SAEs</h1>
        <Failed what="The SAEs can't be listed:" error={saes.error} retry={() => void saes.refetch()} />
      </div>
    );
  }
  if (!saes.data) {
    return (
      <div className="wrap">
        <Skeleton rows={14} height={28} label="The SAEs" />
      </div>
    );
  }
  const change = (changes: Record<string, string | string[] | null>) =>
    setParameters(
      (before) => {
        const next = new URLSearchParams(before);
        for (const [key, value] of Object.entries(changes)) {
          next.delete(key);
          for (const each of value === null ? [] : [value].flat()) next.append(key, each);
        }
        return next;
      },
      { replace: true, preventScrollReset: true },
    );
  return (
    <div className="wrap home-page">
      {group ? (
        <Hook
          key={`${group.model} ${hookName(group)}`}
          group={group}
          groups={groups}
          parameters={parameters}
          change={change}
        />
      ) : (
        <EmptyHome about={about.data} />
      )}
      <Unreadable saes={unreadable.data ?? []} />
    </div>
  );
}

interface HookProps {
  group: HookGroup;
  groups: HookGroup[];
  parameters: URLSearchParams;
  change: (changes: Record<string, string | string[] | null>) => void;
}

function Hook({ group, groups, parameters, change }: HookProps) {
  const { members } = group;
  const navigate = useNavigate();
  const [series, setSeries] = useState<Series>("fvu");
  const evaluated = members.some(({ ce_recovered }) => ce_recovered !== null);
  const measure: Measure = evaluated && parameters.get("measure") === "ce" ? "ce" : "fvu";
  const names = new Set(members.map(({ name }) => name));
  const marked = parameters.getAll("mark").filter((name) => names.has(name));
  const mark = (name: string) => change({ mark: markedWith(marked, name) });
  const points = useMemo(() => pointsOf(members, measure), [members, measure]);
  const curves = useCurves(members, series);
  const open = () => marked.length > 1 && void navigate(compareSAEs(marked));
  useKeys("SAEs", [
    {
      keys: ["x"],
      does: "mark the SAE whose row has the focus, or take the mark off",
      run: () => {
        const name = document.activeElement?.closest<HTMLElement>("tr[data-sae]")?.dataset["sae"];
        if (name !== undefined) mark(name);
      },
    },
    { keys: ["c"], does: "compare what is marked", run: open },
  ]);

  const sort = COLUMNS.find(({ key }) => key === parameters.get("sort")) ?? COLUMNS.find(({ key }) => key === "fvu");
  const descending = parameters.get("order") === "descending";
  const query = useDeferredValue(parameters.get("q") ?? "");
  const only = { architecture: parameters.get("architecture"), run: parameters.get("run") };
  const kept = members.filter(
    (each) =>
      (only.architecture === null || each.architecture === only.architecture) &&
      (only.run === null || each.run === only.run) &&
      matches(query, [each.name, each.architecture, each.run, each.dataset]),
  );
  const rows = sort ? sorted(kept, sort.cell, descending) : kept;
  const columns = COLUMNS.filter(({ key }) => key !== "ce_recovered" || evaluated);
  const pickSort = (key: string) =>
    change({ sort: key, order: sort?.key === key && !descending ? "descending" : null });
  const widths = [...new Set(members.map(({ features }) => features))].toSorted((a, b) => a - b);
  const architectures = tally(members.map(({ architecture }) => architecture));
  const runs = tally(members.map(({ run }) => run));

  return (
    <>
      <header className="page-head">
        <h1>{shortName(group.model)}</h1>
        <nav className="segments" aria-label="Hooks">
          {groups.map((each) => (
            <Link
              key={`${each.model} ${hookName(each)}`}
              to={hookPath(each)}
              aria-current={each === group ? "true" : undefined}
              preventScrollReset
            >
              {groups.some(({ model }) => model !== each.model) && `${shortName(each.model)} · `}
              {hookName(each)} · {each.members.length}
            </Link>
          ))}
        </nav>
        <span className="soft">{summary(members)}</span>
      </header>
      <div className="home-plots">
        <section className="card">
          <h2>
            {measure === "fvu" ? "Variance unexplained by L0" : "Loss not recovered by L0"}
            <span className="soft">lower left is better</span>
            <small>
              {evaluated ? (
                <Segments<Measure>
                  label="What stands upwards"
                  value={measure}
                  options={[
                    { value: "fvu", title: "FVU", says: "fraction of the activations' variance that is left unexplained" },
                    { value: "ce", title: "loss", says: "1 − the share of cross-entropy recovered, against zeroing the hook" },
                  ]}
                  onChange={(next) => change({ measure: next === "fvu" ? null : next })}
                />
              ) : (
                "press two dots to compare"
              )}
            </small>
          </h2>
          {points.length > 0 ? (
            <ParetoPlot
              points={points}
              title={measure === "fvu" ? "FVU" : "loss not recovered"}
              format={measure === "fvu" ? fraction : percent}
              marked={marked}
              onMark={mark}
            />
          ) : (
            <p className="empty">No SAE of this hook has both an L0 and an FVU.</p>
          )}
          <p className="legend">
            {[...architectures.keys()].map((architecture) => (
              <span key={architecture}>
                <i className="dot" style={{ background: colorOf(architecture) }} />
                {architecture}
              </span>
            ))}
            <span className="sizes">
              {widths.length > 1 && <>size: {widths.map(count).join(" · ")} features; </>}a line joins one run,
              architecture and width
            </span>
          </p>
        </section>
        <section className="card">
          <h2>
            Training
            <span className="soft">{{ fvu: "FVU by tokens, log scale", l0: "L0 by tokens", dead_fraction: "dead features by tokens" }[series]}</span>
            <small>
              <Segments<Series>
                label="What the curves show"
                value={series}
                options={[
                  { value: "fvu", title: "FVU" },
                  { value: "l0", title: "L0" },
                  { value: "dead_fraction", title: "dead" },
                ]}
                onChange={setSeries}
              />
            </small>
          </h2>
          {curves.some((curve) => curve.points.length > 0) ? (
            <TrainingCurves
              curves={curves}
              title={{ fvu: "FVU", l0: "L0", dead_fraction: "share of dead features" }[series]}
              logarithmic={series === "fvu"}
              format={{ fvu: fraction, l0: decimal, dead_fraction: percent }[series]}
              marked={marked}
            />
          ) : (
            <p className="empty">
              None of these SAEs' trainings was measured, or they were analyzed before measurements were kept.
            </p>
          )}
          <p className="legend">{runsSentence(members)}</p>
        </section>
      </div>
      <div className="chips home-filters">
        <Filter on={only.architecture === null && only.run === null} label="this hook" number={members.length} onClick={() => change({ architecture: null, run: null })} />
        {architectures.size > 1 &&
          [...architectures].map(([name, number]) => (
            <Filter key={name} on={only.architecture === name} label={name} number={number} onClick={() => change({ architecture: only.architecture === name ? null : name })} />
          ))}
        {runs.size > 1 &&
          [...runs].map(([name, number]) => (
            <Filter key={name} on={only.run === name} label={`run ${name}`} number={number} onClick={() => change({ run: only.run === name ? null : name })} />
          ))}
        <input
          type="search"
          className="field"
          aria-label="Filter by name, architecture or text"
          placeholder="filter by name"
          value={parameters.get("q") ?? ""}
          onChange={(event) => change({ q: event.currentTarget.value || null })}
        />
        <span className="soft" role="status">
          {rows.length < members.length && `${members.length - rows.length} hidden`}
        </span>
        <button type="button" className="button compare" disabled={marked.length < 2} onClick={open} data-says={marked.length < 2 ? "mark two to four SAEs" : undefined}>
          compare {marked.length} marked
        </button>
      </div>
      {rows.length > 0 ? (
        <HomeTable
          saes={rows}
          columns={columns}
          sort={sort?.key ?? ""}
          descending={descending}
          onSort={pickSort}
          marked={marked}
          onMark={mark}
        />
      ) : (
        <p className="empty">
          Nothing matches.{" "}
          <button type="button" className="link" onClick={() => change({ q: null, architecture: null, run: null })}>
            Take the filters off
          </button>
          : {members.length} SAEs come back.
        </p>
      )}
    </>
  );
}

interface FilterProps {
  on: boolean;
  label: string;
  number: number;
  onClick: () => void;
}

function Filter({ on, label, number, onClick }: FilterProps) {
  return (
    <button type="button" className="chip" aria-pressed={on} onClick={onClick}>
      {label} <small>{number}</small>
    </button>
  );
}

/** SAEs that the database has and this version can't read; they hide no other. */
function Unreadable({ saes }: { saes: readonly UnreadableSAE[] }) {
  if (saes.length === 0) return null;
  return (
    <section className="unreadable" aria-label="Records that can't be read">
      <h2>{saes.length === 1 ? "One record can't be read" : `${saes.length} records can't be read`}</h2>
      <ul>
        {saes.map(({ name, problem, hint }) => (
          <li key={name}>
            <b>{name}</b>: {problem} <span className="soft">({hint})</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const hookPath = ({ model, hook, target }: HookGroup) =>
  `/?${new URLSearchParams({ model, hook, ...(target !== null && { target }) })}`;

/** How many there are of each, the most first. */
function tally(values: readonly string[]): Map<string, number> {
  const found = new Map<string, number>();
  for (const value of values) found.set(value, (found.get(value) ?? 0) + 1);
  return new Map([...found].toSorted((a, b) => b[1] - a[1] || a[0].localeCompare(b[0])));
}

function summary(members: readonly SAESummary[]): string {
  const texts = new Set(members.map(({ dataset }) => shortName(dataset)));
  const analyzed = new Set(members.map(({ tokens_analyzed }) => tokens_analyzed));
  const [tokens] = analyzed;
  return [
    ...(analyzed.size === 1 && tokens !== undefined ? [`${compact(tokens)} tokens analyzed`] : []),
    ...texts,
  ].join(" · ");
}

function runsSentence(members: readonly SAESummary[]): string {
  const runs = tally(members.map(({ run }) => run));
  const names = [...runs.keys()].slice(0, 4).join(", ") + (runs.size > 4 ? " …" : "");
  const trained = new Set(members.map(({ tokens_trained }) => tokens_trained));
  const [tokens] = trained;
  const each = trained.size === 1 && tokens ? `, ${compact(tokens)} tokens each` : "";
  const saes = members.length === 1 ? "one SAE" : `${members.length} SAEs`;
  return `${runs.size === 1 ? "Run" : "Runs"} ${names}: ${saes}${each}.`;
}
