import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useEffect, useRef, type ReactNode } from "react";
import { useNavigate, useSearchParams } from "react-router";
import type { Feature } from "../../api/client";
import { featureQuery, useContexts, useFeature, useHistory } from "../../api/queries";
import { Explain } from "../../components/Explain";
import type { LabelFacts } from "../../components/Label";
import { Empty, Failed, Skeleton } from "../../components/States";
import { activation, compact, count, figure, oneIn, percent } from "../../format";
import { useKeys } from "../../keys";
import type { FeatureList } from "../../list/useList";
import { promptPath, steerText } from "../../paths";
import { alone } from "../../tokens";
import { Contexts } from "./Contexts";
import type { ContextSort } from "./contextRows";
import { Groups } from "./Groups";
import { Logits } from "./Logits";
import { Note } from "./Note";
import { FiresOn, NearBy, PrecededBy, Together, Twins } from "./SideLists";
import { TryText } from "./TryText";
import "./feature.css";

// After the first feature: it is read before anything is done with it.
const Actions = lazy(async () => ({ default: (await import("./Actions")).Actions }));

const Wiring = lazy(async () => ({ default: (await import("./Wiring")).Wiring }));

const FeatureGraphs = lazy(async () => ({ default: (await import("../graphs/FeatureGraphs")).FeatureGraphs }));

type Size = "whole" | "beside";

interface FeatureDetailProps {
  name: string;
  list: FeatureList;
  /** Row of the columns that is asked for; what is shown is the one before until it is here. */
  row: number;
  /** The whole page, or beside the list. */
  size: Size;
  /** Where one is in the list, and the way back to it. */
  place: ReactNode;
}

/** A feature, in the order of a reader's questions. */
export function FeatureDetail({ name, list, row, size, place }: FeatureDetailProps) {
  const { columns } = list;
  const found = useFeature(name, columns.analysis, columns.first + row);
  usePrefetch(name, list, row);
  if (found.error) {
    return <Failed what={`Feature ${columns.first + row} can't be shown:`} error={found.error} retry={() => void found.refetch()} />;
  }
  if (!found.data) return <Skeleton rows={20} label="Loading the feature" />;
  return <Shown name={name} list={list} data={found.data} size={size} place={place} waiting={found.isPlaceholderData} />;
}

/** The features on either side are here before one steps to them. */
function usePrefetch(name: string, { columns, selection }: FeatureList, row: number) {
  const client = useQueryClient();
  useEffect(() => {
    const timer = setTimeout(() => {
      const at = selection.rows.indexOf(row);
      for (const next of [selection.rows[at + 1], selection.rows[at - 1]]) {
        if (at === -1 || next === undefined) continue;
        void client.prefetchQuery(featureQuery(client, name, columns.analysis, columns.first + next));
      }
    }, 60);
    return () => clearTimeout(timer);
  }, [client, name, columns, selection, row]);
}

interface ShownProps {
  name: string;
  list: FeatureList;
  data: NonNullable<ReturnType<typeof useFeature>["data"]>;
  size: Size;
  place: ReactNode;
  waiting: boolean;
}

function Shown({ name, list, data: { feature, strongest }, size, place, waiting }: ShownProps) {
  const whole = size === "whole";
  const note = useRef<HTMLInputElement>(null);
  const own = useRef<HTMLInputElement>(null);
  const navigate = useNavigate();
  const view = useContextView();
  const { index } = feature;
  const said = useHistory(name, index).data?.current;
  const tokens = list.label(index - list.columns.first);
  const label = said === undefined ? tokens : { ...tokens, said };
  const groups = feature.groups.map((group) => group.name);
  const group = groups.includes(view.group) ? view.group : "top";
  // the strongest came with the feature
  const others = useContexts(name, group === "top" ? undefined : list.columns.analysis, index, group);
  const shown = group === "top" ? strongest : others.data;
  const text = label.said ?? label.tokens.map(alone).join(" ");

  useKeys("Feature", [
    { keys: ["n"], does: "write what you think it is", run: () => note.current?.focus() },
    { keys: ["t"], does: "try a text of your own", run: () => own.current?.focus() },
    { keys: ["s"], does: "steer with it", run: () => void navigate(steerText("", name, index)) },
    { keys: ["p"], does: "a prompt through all features", run: () => void navigate(promptPath(name)) },
    {
      keys: ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
      does: "groups of contexts",
      run: (key) => {
        const order = ["top", ...groups.filter((each) => each.startsWith("interval-")), "random", "same-token", "silent"];
        const next = order.filter((each) => groups.includes(each))[Number(key) - 1];
        if (next) view.set({ group: next });
      },
    },
    { keys: ["["], does: "contexts by the word on the left", run: () => view.set({ words: view.sort === "left" ? "value" : "left" }) },
    { keys: ["]"], does: "contexts by the word on the right", run: () => view.set({ words: view.sort === "right" ? "value" : "right" }) },
  ]);

  const Title = whole ? "h1" : "h2";
  const contexts =
    feature.firings === 0 && group === "top" ? (
      <Empty>
        Never active in {compact(feature.tokens_analyzed)} tokens: it may fire on rarer text.
      </Empty>
    ) : group !== "top" && others.error ? (
      <Failed what="These contexts can't be shown:" error={others.error} retry={() => void others.refetch()} />
    ) : !shown || shown.group !== group ? (
      <Skeleton rows={12} label="Loading contexts" />
    ) : shown.contexts.length === 0 ? (
      <Empty>No context of this kind was found.</Empty>
    ) : (
      <Contexts
        name={name}
        index={index}
        group={shown}
        maximum={feature.maximum}
        token={list.token}
        sort={view.sort}
        onSort={(words) => view.set({ words })}
        most={whole ? Infinity : 18}
        open={view.context}
        onOpen={(context) => view.set({ context: context === null ? "" : String(context) })}
      />
    );

  return (
    <article className={whole ? "feature whole" : "feature"} aria-busy={waiting}>
      <header className="headline">
        <Title className={label.said ? "said" : undefined}>
          {label.said ??
            (label.tokens.length === 0
              ? "never active"
              : label.tokens.map((token, i) => (
                  // oxlint-disable-next-line react/no-array-index-key
                  <span key={`${i} ${token}`}>{alone(token)} </span>
                )))}
        </Title>
        <p className="soft">{place}{!label.said && covers(feature, label)}</p>
        <Suspense fallback={<div className="actions" />}>
          <Actions key={index} name={name} feature={feature} group={group} context={view.context} label={text} />
        </Suspense>
      </header>
      {whole && <Note key={index} name={name} index={index} input={note} />}
      <Numbers feature={feature} />
      {!whole && <Note key={index} name={name} index={index} input={note} />}
      <div className="columns">
        <div className="evidence">
          <TryText name={name} feature={feature} input={own} />
          <Groups feature={feature} shown={strongest.stored} selected={group} onSelect={(next) => view.set({ group: next })} panel="contexts" />
          <div id="contexts" role="tabpanel" aria-labelledby={`tab-${group}`}>
            {contexts}
          </div>
        </div>
        <div className="side">
          <FiresOn feature={feature} most={whole ? 8 : 5} />
          <PrecededBy feature={feature} most={whole ? 6 : 5} />
          <Logits feature={feature} most={whole ? 8 : 5} />
          <Together feature={feature} name={name} list={list} most={whole ? 6 : 3} />
          <NearBy feature={feature} name={name} list={list} most={whole ? 6 : 3} />
          {whole && <NearBy feature={feature} name={name} list={list} most={4} by="encoder" />}
          <Twins feature={feature} />
          {whole && (
            <Suspense fallback={null}>
              <Wiring feature={feature} />
              <FeatureGraphs sae={name} index={index} />
            </Suspense>
          )}
          {whole && <Hooks feature={feature} />}
        </div>
      </div>
    </article>
  );
}

/** How much of what it does is on the tokens that it is called by. */
function covers({ fires_on: found, firings, mean }: Feature, { tokens, shares }: LabelFacts): string {
  const own = (found ?? []).filter(({ token }) => tokens.includes(token));
  const carried = own.reduce((sum, each) => sum + each.count * each.mean, 0) / (firings * (mean ?? 0));
  const known = own.length === tokens.length && carried > 0;
  const covered = known ? Math.min(carried, 1) : shares.reduce((sum, each) => sum + each, 0);
  if (!(covered > 0)) return "";
  return ` · label covers ${percent(covered)} of its ${known ? "activation" : "firings"}${covered < 0.3 ? ": little" : ""}`;
}

/** Figures with what they mean, and of what they are. */
function Numbers({ feature }: { feature: Feature }) {
  const { firings, tokens_analyzed: tokens, density, maximum, mean, contexts, stability } = feature;
  if (firings === 0) {
    return (
      <ul className="facts">
        <li>
          <Explain says="Not once was its activation above 0 on the analyzed tokens.">never active in {compact(tokens)} tokens</Explain>
        </li>
      </ul>
    );
  }
  const facts: [string, string, string][] = [
    [count(firings), `firings in ${compact(tokens)} tokens, ${oneIn(density)}`, `Tokens on which its activation is above 0: a share of ${percent(density)}. ${feature.density_class === "dense" ? "Dense: on more than a tenth of all." : ""}`],
    [activation(maximum), "maximum", "Its largest activation on the analyzed tokens. All colors are shares of it."],
    [activation(mean), "mean when active", "Mean of its activations over the tokens on which it is active."],
  ];
  if (contexts !== null && contexts !== undefined) facts.push([count(contexts), "contexts", "Contexts of the cache in which it is active at least once."]);
  if (stability !== null && stability !== undefined) facts.push([figure(stability), "stability", "Mean match with its best partner in each other SAE of this hook; 1 is the same feature, near 0 is one that no other SAE has."]);
  return (
    <ul className="facts">
      {facts.map(([value, what, says]) => (
        <li key={what}>
          <Explain says={says}>
            <b>{value}</b>
            {what}
          </Explain>
        </li>
      ))}
      {feature.density_class === "dense" && <li className="partial">dense</li>}
    </ul>
  );
}

/** What a crosscoder's feature does at each of its hooks. */
function Hooks({ feature }: { feature: Feature }) {
  const hooks = feature.hooks ?? [];
  if (hooks.length === 0) return null;
  return (
    <section>
      <h2>
        At its hooks <small>norm · promotes</small>
      </h2>
      <ol>
        {hooks.map((each) => (
          <li key={each.hook} className="hook">
            <b>{each.hook}</b> {figure(each.norm)}{" "}
            {each.promotes.slice(0, 4).map(({ id, token }) => (
              <code key={id}>{alone(token)} </code>
            ))}
          </li>
        ))}
      </ol>
    </section>
  );
}

const SORTS: readonly ContextSort[] = ["value", "left", "right"];

/** Group, order and open context, in the address. */
function useContextView() {
  const [parameters, setParameters] = useSearchParams();
  const words = parameters.get("words");
  const context = parameters.get("context");
  return {
    group: parameters.get("group") ?? "top",
    sort: SORTS.find((each) => each === words) ?? "value",
    context: context !== null && /^\d{1,15}$/.test(context) ? Number(context) : null,
    set: (changes: { group?: string; words?: string; context?: string }) =>
      setParameters(
        (old) => {
          const next = new URLSearchParams(old);
          if (changes.group !== undefined) next.delete("context");
          for (const [key, value] of Object.entries(changes)) {
            if (value === "" || value === "top" || value === "value") next.delete(key);
            else next.set(key, value);
          }
          return next;
        },
        { replace: true, preventScrollReset: true },
      ),
  };
}

/** `row 330 of 354`, and how one gets to it. */
export function Place({ list, row, children }: { list: FeatureList; row: number; children?: ReactNode }) {
  const { rows } = list.selection;
  const at = rows.indexOf(row);
  return (
    <>
      {at === -1 ? "not in the list" : `row ${count(at + 1)} of ${count(rows.length)}`} {children}
    </>
  );
}

