import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { getAbout, getSAEs, type SAESummary } from "../../api/client";
import { ChooseSAE } from "../../components/lab/ChooseSAE";
import { useFeatures } from "../../components/lab/features";
import { ModelNote } from "../../components/lab/ModelNote";
import { Segments } from "../../components/lab/Segments";
import { Wide } from "../../components/lab/Wide";
import { Empty, Failed, Skeleton } from "../../components/States";
import { compact, count, decimal, fraction, percent, share } from "../../format";
import { useKeys } from "../../keys";
import { usePage } from "../../page";
import { hookCrumb, saePath } from "../../paths";
import { CosineHistogram } from "./CosineHistogram";
import { usePair } from "./data";
import { MatchPlot } from "./MatchPlot";
import { MatchTable } from "./MatchTable";
import { counts, median, side, type Match, type Side } from "./matching";
import { OneText } from "./OneText";
import "../../components/lab/lab.css";
import "./compare.css";

const MOST = 4;
const COLORS = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"];
type Tab = Side | "there";

/** Two to four SAEs of a hook: their figures, their features' partners, one text through all. */
export function ComparePage() {
  const [parameters, setParameters] = useSearchParams();
  const saes = useQuery({ queryKey: ["saes"], queryFn: ({ signal }) => getSAEs(signal) });
  const about = useQuery({ queryKey: ["about"], queryFn: ({ signal }) => getAbout(signal) });
  const all = useMemo(() => saes.data ?? [], [saes.data]);
  const asked = [...new Set(parameters.getAll("sae"))];
  const known = asked.flatMap((name) => all.find((each) => each.name === name) ?? []);
  const missing = saes.data ? asked.filter((name) => all.every((each) => each.name !== name)) : [];
  const chosen = (known.length > 0 ? known : all).filter((each, _, [first]) => sameHook(each, first)).slice(0, known.length > 0 ? MOST : 2);
  const others = all.filter((each) => sameHook(each, chosen[0]) && !chosen.includes(each));
  const names = chosen.map(({ name }) => name);
  const second = names.find((name) => name === parameters.get("with")) ?? names[1];
  const a = chosen[0];
  const b = chosen.find(({ name }) => name === second);
  usePage({
    title: "compare",
    crumbs: [...(a ? [hookCrumb(a)] : []), { label: "compare" }],
    sae: names[0],
  });
  const choose = (next: string[]) =>
    setParameters(new URLSearchParams(next.map((name) => ["sae", name])));
  const swap = () => names.length > 1 && choose([second ?? "", ...names.filter((name) => name !== second)]);
  useKeys("Comparing", [{ keys: ["w"], does: "swap the two SAEs", run: swap }]);

  if (saes.error) return <div className="wrap"><Failed what="The SAEs can't be listed:" error={saes.error} retry={() => void saes.refetch()} /></div>;
  if (!saes.data) return <div className="wrap"><Skeleton rows={12} /></div>;
  return (
    <div className="wrap compare-page">
      <header className="page-head">
        <h1>{names.length > 0 ? names.join(" and ") : "Compare"}</h1>
        <div className="chips">
          {names.length > 2 &&
            names.map((name) => (
              <button key={name} type="button" className="chip on" aria-label={`Without ${name}`} onClick={() => choose(names.filter((other) => other !== name))}>
                {name} ×
              </button>
            ))}
          {names.length < MOST && <ChooseSAE label="+ SAE" names={others.map(({ name }) => name)} onChoose={(name) => choose([...names, name])} />}
          {names.length > 1 && (
            <button type="button" className="button" onClick={swap}>
              swap ⇄
            </button>
          )}
        </div>
      </header>
      {missing.length > 0 && <p className="note" role="alert">There is no SAE {missing.join(", ")}.</p>}
      {a && b ? (
        <>
          {names.length > 2 && (
            <p className="chips">
              <span className="soft">{a.name} against</span>
              <Segments
                label="The other SAE"
                value={b.name}
                options={names.slice(1).map((name) => ({ value: name, title: name }))}
                onChange={(name) => setParameters((before) => { const next = new URLSearchParams(before); next.set("with", name); return next; }, { replace: true })}
              />
            </p>
          )}
          <Compared key={`${a.name} ${b.name}`} saes={chosen} a={a} b={b} asks={about.data?.asks_model ?? false} />
          <ModelNote about={about.data} what="One text through all SAEs" />
        </>
      ) : (
        <Empty>
          {all.length < 2
            ? "There is no second SAE to compare with yet."
            : "No other SAE reads this hook: choose SAEs of one hook at home."}
        </Empty>
      )}
    </div>
  );
}

const sameHook = (one: SAESummary, other: SAESummary | undefined) =>
  other !== undefined && one.model === other.model && one.hook === other.hook && one.target === other.target;

interface ComparedProps {
  saes: readonly SAESummary[];
  a: SAESummary;
  b: SAESummary;
  asks: boolean;
}

const RARE = 0.02;

function Compared({ saes, a, b, asks }: ComparedProps) {
  const pair = usePair(a.name, b.name);
  const facts = useFeatures(a.name);
  const [threshold, setThreshold] = useState(0.7);
  const [tab, setTab] = useState<Tab>("matched");
  const [rare, setRare] = useState(false);
  const [text, setText] = useState("");
  const [selected, setSelected] = useState<Match | null>(null);
  const here = useMemo(() => pair.data?.here ?? [], [pair.data]);
  const there = useMemo(() => pair.data?.there ?? [], [pair.data]);
  const own = counts(here, a.features_analyzed, threshold);
  const other = counts(there, b.features_analyzed, threshold);
  const isRare = ({ feature }: Match) => (facts?.density(feature) ?? 0) < RARE;
  const inTab = tab === "there" ? there.filter((match) => side(match, threshold) === "only") : here.filter((match) => side(match, threshold) === tab);
  const kept = tab === "there" || !rare ? inTab : inTab.filter(isRare);
  const rows = kept.toSorted((one, two) => two.cosine - one.cosine);
  const best = selected ?? rows[0] ?? null;
  const tabs: { value: Tab; title: string; number: number }[] = [
    { value: "matched", title: "matched", number: own.matched },
    { value: "weaker", title: "weaker", number: own.weaker },
    { value: "only", title: `only ${a.name}`, number: own.onlyHere },
    { value: "there", title: `only ${b.name}`, number: other.onlyHere },
  ];
  return (
    <>
      <Figures saes={saes} pair={[a.name, b.name]} sides={[pair.data?.here ?? null, pair.data?.there ?? null]} threshold={threshold} />
      {pair.error && <Failed what="Their features can't be compared:" error={pair.error} retry={() => void pair.refetch()} />}
      {pair.isPending && <Skeleton rows={14} label="Partners" />}
      {pair.data && (
        <div className="compare-split">
          <div>
            <h2>Each feature of {a.name} and its best partner</h2>
            {pair.data.here ? (
              <>
                <MatchPlot matches={here} threshold={threshold} onThreshold={setThreshold} />
                <p className="legend">
                  <span><i className="dot" style={{ background: "var(--bar)" }} />mutual and ≥ {share(threshold)}: {count(own.matched)}</span>
                  <span><i className="dot" style={{ background: "var(--c3)" }} />mutual, weaker: {count(own.weaker)}</span>
                  <span><i className="dot" style={{ background: "var(--faint)" }} />one-sided: {count(here.length - own.matched - own.weaker)}</span>
                </p>
                <p className="note">
                  Of the {count(own.matched)}, {count(own.twins)} also agree in their activations (r ≥ {share(threshold)}): those are
                  twins. Median best cosine {share(median(here.map(({ cosine }) => cosine)))}.
                </p>
              </>
            ) : (
              <Empty>{a.name} was analyzed before {b.name} was there: analyze it again to find its partners.</Empty>
            )}
            {!pair.data.there && <p className="note">{b.name} was analyzed before {a.name} was there; its own partners are not known.</p>}
            <h2>Best cosine of every feature</h2>
            <CosineHistogram
              threshold={threshold}
              sides={[
                { name: a.name, color: COLORS[0] ?? "", matches: here },
                { name: b.name, color: COLORS[1] ?? "", matches: there },
              ]}
            />
            <p className="legend">
              <span><i className="dot" style={{ background: COLORS[0] }} />in {a.name}</span>
              <span><i className="dot" style={{ background: COLORS[1] }} />in {b.name}</span>
            </p>
          </div>
          <div className="compare-list">
            <div className="chips">
              <div className="segments" role="group" aria-label="Which features">
                {tabs.map(({ value, title, number }) => (
                  <button key={value} type="button" aria-pressed={tab === value} onClick={() => { setTab(value); setSelected(null); }}>
                    {title} <small>{count(number)}</small>
                  </button>
                ))}
              </div>
              {tab !== "there" && (
                <button type="button" className="chip" aria-pressed={rare} onClick={() => setRare(!rare)}>
                  density &lt; 2 %{rare && <>, {count(inTab.length - kept.length)} hidden ×</>}
                </button>
              )}
            </div>
            {rows.length > 0 ? (
              tab === "there" ? (
                <MatchTable a={b.name} b={a.name} rows={rows} selected={selected} onSelect={(match) => setSelected({ ...match, feature: match.partner, partner: match.feature })} />
              ) : (
                <MatchTable a={a.name} b={b.name} rows={rows} selected={selected} onSelect={setSelected} />
              )
            ) : (
              <Empty>No feature with a partner falls on this side of {share(threshold)}.</Empty>
            )}
            {inTab.length < (tabs.find(({ value }) => value === tab)?.number ?? 0) && (
              <p className="note">Those without any partner, never active ones among them, are counted and not listed.</p>
            )}
          </div>
        </div>
      )}
      {best && (
        <OneText
          text={text}
          onText={setText}
          asks={asks}
          features={[
            { sae: a.name, index: best.feature },
            { sae: b.name, index: best.partner },
          ]}
        />
      )}
    </>
  );
}

interface FiguresProps {
  saes: readonly SAESummary[];
  pair: readonly [string, string];
  sides: readonly [Match[] | null, Match[] | null];
  threshold: number;
}

/** What was measured of each, and how many of the pair's features have a partner. */
function Figures({ saes, pair, sides, threshold }: FiguresProps) {
  const partners = (name: string) => {
    const found = sides[pair.indexOf(name)];
    return found ? found.filter(({ cosine }) => cosine >= threshold).length : null;
  };
  return (
    <Wide label="Figures">
      <table className="table">
        <thead>
          <tr>
            <th scope="col" className="text">SAE</th>
            <th scope="col">features</th>
            <th scope="col">FVU</th>
            <th scope="col">L0</th>
            <th scope="col">loss recovered</th>
            <th scope="col">dead</th>
            <th scope="col">trained on</th>
            <th scope="col">with a partner ≥ {share(threshold)}</th>
            <th scope="col">without</th>
          </tr>
        </thead>
        <tbody>
          {saes.map((sae, i) => {
            const found = partners(sae.name);
            return (
              <tr key={sae.name}>
                <th scope="row" className="text">
                  <i className="dot" style={{ background: COLORS[i] }} />
                  <Link to={saePath(sae.name)}>{sae.name}</Link>
                </th>
                <td>{count(sae.features)}</td>
                <td>{fraction(sae.fvu)}</td>
                <td>{decimal(sae.l0)}</td>
                <td>{percent(sae.ce_recovered)}</td>
                <td>{sae.dead_fraction === 0 ? "0" : percent(sae.dead_fraction)}</td>
                <td>{compact(sae.tokens_trained)}</td>
                <td>{found === null ? "–" : count(found)}</td>
                <td>{found === null ? "–" : count(sae.features_analyzed - found)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Wide>
  );
}
