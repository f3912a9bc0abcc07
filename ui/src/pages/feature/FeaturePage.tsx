import { useLayoutEffect, useRef } from "react";
import { Link, useNavigate, useNavigationType, useParams, useSearchParams } from "react-router";
import { useSAE } from "../../api/queries";
import { Failed, Skeleton } from "../../components/States";
import { useKeys } from "../../keys";
import { stepped } from "../../list/select";
import { useFeatureList } from "../../list/useList";
import { usePage } from "../../page";
import { crumbsTo, featurePath, saePath } from "../../paths";
import { FeatureDetail, Place } from "./FeatureDetail";

/** One feature, whole. `j` and `k` walk the list that it was opened from. */
export function FeaturePage() {
  const { name = "", index: text = "" } = useParams();
  const sae = useSAE(name);
  const { list, error, refetch } = useFeatureList(name);
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const first = list?.columns.first ?? 0;
  const row = Number(text) - first;

  // Where one is, at once: keys pressed faster than pages are drawn add up from here.
  const now = useRef(row);
  const asked = useRef<number>(undefined);
  const kind = useNavigationType();
  useLayoutEffect(() => {
    // The features of several keys may be drawn one by one: the last one's is where one is.
    if (kind === "REPLACE" && asked.current !== undefined && asked.current !== row) return;
    asked.current = undefined;
    now.current = row;
  }, [row, kind]);

  const kept = new URLSearchParams(parameters);
  kept.delete("context");
  const go = (next: number | undefined) => {
    if (next === undefined) return;
    now.current = next;
    asked.current = next;
    void navigate({ pathname: featurePath(name, first + next), search: kept.toString() }, { replace: true, preventScrollReset: true });
  };
  const step = (steps: number) => go(list && stepped(list.selection.rows, now.current, steps));
  const back = new URLSearchParams(kept);
  for (const key of ["group", "words"]) back.delete(key);
  back.set("feature", text);
  const backTo = `${saePath(name)}?${back}`;

  useKeys("List", [
    { keys: ["j", "ArrowRight"], does: "next feature of the list", run: () => step(1) },
    { keys: ["k", "ArrowLeft"], does: "previous feature of the list", run: () => step(-1) },
    {
      keys: ["r"],
      does: "random feature of the list",
      run: () => {
        const rows = list?.selection.rows;
        if (rows?.length) go(rows[Math.floor(Math.random() * rows.length)]);
      },
    },
    { keys: ["Escape"], does: "back to the list", run: () => void navigate(backTo) },
  ]);
  usePage({
    title: `feature ${text} · ${name}`,
    crumbs: sae.data ? [...crumbsTo(sae.data), { label: text }] : [{ label: name, to: saePath(name) }, { label: text }],
    sae: name,
  });

  const failed = error ?? sae.error;
  const wrong = list && !(Number.isSafeInteger(row) && row >= 0 && row < list.columns.rows);
  return (
    <div className="wrap">
      {failed ? (
        <>
          <h1>feature {text}</h1>
          <Failed what="The feature can't be shown:" error={failed} retry={() => void refetch()} />
        </>
      ) : wrong ? (
        <>
          <h1>No feature {text}</h1>
          <p role="alert">
            '{name}' has no feature {text}: features {first} to {first + list.columns.rows - 1} were analyzed.{" "}
            <Link to={saePath(name)}>All of them</Link>
          </p>
        </>
      ) : list ? (
        <FeatureDetail
          name={name}
          list={list}
          row={row}
          size="whole"
          place={
            <>
              feature <b>{text}</b> ·{" "}
              <Place list={list} row={row}>
                <Link to={backTo}>in the list</Link> <kbd>k</kbd> <kbd>j</kbd>
              </Place>
            </>
          }
        />
      ) : (
        <Skeleton rows={20} label="Loading the feature" />
      )}
    </div>
  );
}
