import { lazy, Suspense, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Link, useNavigate, useNavigationType, useParams, useSearchParams } from "react-router";
import { useSAE } from "../../api/queries";
import { Failed, Skeleton } from "../../components/States";
import { count, decimal, fraction } from "../../format";
import { useKeys } from "../../keys";
import { stepped } from "../../list/select";
import { writeList, type ListState } from "../../list/state";
import { useFeatureList } from "../../list/useList";
import { usePage } from "../../page";
import { featurePath, hookCrumb, saePath } from "../../paths";
import { FeatureDetail, Place } from "../feature/FeatureDetail";
import { Chips } from "./Chips";
import { FeatureList } from "./FeatureList";
import "./browse.css";

// After the first feature: the list is read while the map comes.
const DensityMap = lazy(async () => ({ default: (await import("./DensityMap")).DensityMap }));
const NARROW = "(max-width: 760px)";

/** All features of an SAE, and the selected one beside them. */
export function BrowsePage() {
  const { name = "" } = useParams();
  const sae = useSAE(name);
  const { list, error, refetch } = useFeatureList(name);
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const narrow = useNarrow();

  const asked = parameters.get("feature");
  const first = list?.columns.first ?? 0;
  const wanted = asked !== null && /^\d{1,9}$/.test(asked) ? Number(asked) - first : undefined;
  const known = list && wanted !== undefined && wanted >= 0 && wanted < list.columns.rows;
  const selected = known ? wanted : narrow ? undefined : list?.selection.rows[0];

  // `Enter` must not wait for the page's code.
  useEffect(() => void import("../feature/FeaturePage"), []);

  // Where one is, at once: keys pressed faster than pages are drawn add up from here.
  const now = useRef({ selected, parameters });
  const last = useRef<string>(undefined);
  const kind = useNavigationType();
  useLayoutEffect(() => {
    // The features of several keys may be drawn one by one: the last one's is where one is.
    if (kind === "REPLACE" && last.current !== undefined && last.current !== parameters.toString()) return;
    last.current = undefined;
    now.current = { selected, parameters };
  }, [selected, parameters, kind]);

  const go = useCallback(
    (state: ListState | undefined, row: number | undefined) => {
      const next = state ? writeList(state) : new URLSearchParams(now.current.parameters);
      if (row !== undefined) next.set("feature", String(first + row));
      now.current = { selected: row, parameters: next };
      last.current = next.toString();
      void navigate({ pathname: saePath(name), search: next.toString() }, { replace: true, preventScrollReset: true });
    },
    [navigate, name, first],
  );
  const addressOf = (row: number) => `${featurePath(name, first + row)}${searchOf(list?.state)}`;
  const open = (row: number) => void navigate(addressOf(row));
  const select = (row: number) => (narrow ? open(row) : go(undefined, row));
  const step = (steps: number) => {
    const next = list && stepped(list.selection.rows, now.current.selected, steps);
    if (next !== undefined) go(undefined, next);
  };
  const change = (state: ListState) => go(state, now.current.selected);
  const random = () => {
    const rows = list?.selection.rows;
    if (rows?.length) go(undefined, rows[Math.floor(Math.random() * rows.length)]);
  };

  useKeys("List", [
    { keys: ["j", "ArrowRight"], does: "next feature of the list", run: () => step(1) },
    { keys: ["k", "ArrowLeft"], does: "previous feature of the list", run: () => step(-1) },
    { keys: ["Enter"], does: "its whole page", run: () => selected !== undefined && open(selected) },
    { keys: ["r"], does: "random feature of the list", run: random },
    {
      keys: ["d"],
      does: "dense features hidden, or all shown",
      run: () => list && change({ ...list.state, kinds: list.state.kinds.length ? [] : ["regular"] }),
    },
    {
      keys: ["Escape"],
      does: "clear the box on the map",
      run: () => {
        if (!list) return;
        const { density: _, maximum: __, ...ranges } = list.state.ranges;
        change({ ...list.state, ranges });
      },
    },
  ]);
  usePage({
    title: selected === undefined || !list ? name : `feature ${first + selected} · ${name}`,
    crumbs: sae.data ? [hookCrumb(sae.data), { label: name }] : [{ label: name }],
    sae: name,
  });

  const failed = error ?? sae.error;
  if (failed) {
    return (
      <div className="wrap">
        <h1>{name}</h1>
        <Failed what="The features can't be shown:" error={failed} retry={() => void refetch()} />
      </div>
    );
  }
  return (
    <div className="split">
      <section className="master" aria-label="List">
        <header>
          <div className="title">
            <h1>{name}</h1>
            {sae.data && (
              <p className="soft">
                {count(sae.data.features)} features · FVU {fraction(sae.data.fvu)} · L0 {decimal(sae.data.l0)} ·{" "}
                {count(sae.data.density_classes.dead)} dead · {count(sae.data.density_classes.dense)} dense
              </p>
            )}
            {sae.data && sae.data.features_analyzed < sae.data.features && (
              <p className="partial">
                features {count(sae.data.first_feature)}–{count(sae.data.first_feature + sae.data.features_analyzed - 1)} of{" "}
                {count(sae.data.features)} analyzed
              </p>
            )}
          </div>
          {list ? (
            <>
              <Suspense fallback={<div className="map" />}>
                <DensityMap list={list} selected={selected} onChange={change} onSelect={select} />
              </Suspense>
              <Chips list={list} onChange={change} />
            </>
          ) : (
            <div className="map" />
          )}
        </header>
        {list ? (
          <FeatureList
            list={list}
            selected={selected}
            onSelect={select}
            onOpen={open}
            onStep={step}
            onChange={change}
            addressOf={addressOf}
            narrow={narrow}
          />
        ) : (
          <div className="waiting">
            <Skeleton rows={16} height={28} label="Loading the features" />
          </div>
        )}
        {list && (
          <footer>
            <b>{count(list.selection.rows.length)}</b> of {count(list.columns.rows)}
            {list.selection.rows.length < list.columns.rows &&
              ` · ${count(list.columns.rows - list.selection.rows.length)} hidden by filters`}
            <span className="hints">
              <kbd>j</kbd> <kbd>k</kbd> row <kbd>/</kbd> find <kbd>?</kbd> keys
            </span>
          </footer>
        )}
      </section>
      {!narrow && (
        <section className="detail" aria-label="Feature">
          {list && selected !== undefined && (
            <FeatureDetail
              name={name}
              list={list}
              row={selected}
              size="beside"
              place={
                <>
                  <Link to={addressOf(selected)}>{first + selected}</Link> · <Place list={list} row={selected} />
                </>
              }
            />
          )}
        </section>
      )}
    </div>
  );
}

function searchOf(state: ListState | undefined): string {
  const text = state ? writeList(state).toString() : "";
  return text && `?${text}`;
}

function useNarrow(): boolean {
  const [narrow, setNarrow] = useState(() => matchMedia(NARROW).matches);
  useEffect(() => {
    const query = matchMedia(NARROW);
    const change = () => setNarrow(query.matches);
    query.addEventListener("change", change);
    return () => query.removeEventListener("change", change);
  }, []);
  return narrow;
}
