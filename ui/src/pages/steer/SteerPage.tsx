import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { getAbout, getSAE, getSAEs } from "../../api/client";
import { useHash } from "../../components/lab/hash";
import { ModelNote } from "../../components/lab/ModelNote";
import { Empty, Failed, Skeleton } from "../../components/States";
import { useKeys } from "../../keys";
import { announce, usePage } from "../../page";
import { hookCrumb } from "../../paths";
import { AddFeature } from "./AddFeature";
import { Continuations, NextTokens, WhereFelt, type Shown } from "./Continuations";
import { useFacts, useSilent } from "./data";
import { EditList } from "./EditList";
import { grid as gridOf, MOST_FEATURES } from "./grid";
import { pythonOf } from "./python";
import { cellName, SteerGrid } from "./SteerGrid";
import { SteerSettings } from "./SteerSettings";
import { readSteer, withCell, writeSteer } from "./state";
import { useSteer } from "./useSteer";
import "../../components/lab/lab.css";
import "./steer.css";

/** What the model writes with features edited: a grid of strengths beside its own completion. */
export function SteerPage() {
  const [state, change] = useHash(readSteer, writeSteer);
  const saes = useQuery({ queryKey: ["saes"], queryFn: ({ signal }) => getSAEs(signal) });
  const about = useQuery({ queryKey: ["about"], queryFn: ({ signal }) => getAbout(signal) });
  const asks = about.data?.asks_model ?? false;
  const { prompt, edited, tokens, temperature, seed, where } = state;
  const facts = useFacts(edited);
  const maxima = facts.map(({ maximum }) => maximum);
  const silent = useSilent(edited, prompt, asks);
  const grid = gridOf(edited, maxima, where);
  const steering = useSteer();
  const { known, running, run, cancel } = steering;
  const input = useRef<HTMLTextAreaElement>(null);
  const [at, setAt] = useState(-1);
  const [copied, setCopied] = useState(false);

  const sets = grid.cells.map(({ edit }) => [edit]);
  const body = { prompt, edits: sets, tokens, temperature, seed, log_probabilities: 10 };
  const complete = prompt !== "" && sets.length > 0 && asks && facts.every(({ maximum, error }) => maximum !== null || error);
  const start = () => complete && run(body);
  // A link says what was steered: it is steered once by itself.
  const isReady = complete && steering.asked === null;
  const startOnce = useRef(state.prompt !== "");
  useEffect(() => {
    if (!isReady || !startOnce.current) return;
    startOnce.current = false;
    start();
  });
  const isOld = steering.asked !== null && steering.asked !== JSON.stringify(body) && !running;
  useEffect(() => {
    if (steering.asked !== null && !running && !steering.error) announce("All completions are written");
  }, [running, steering.asked, steering.error]);

  const all = useMemo(() => saes.data ?? [], [saes.data]);
  const firstSAE = edited[0]?.sae ?? new URLSearchParams(location.hash.slice(1)).get("sae") ?? all[0]?.name;
  const of = all.find(({ name }) => name === firstSAE);
  usePage({ title: "steer", crumbs: [...(of ? [hookCrumb(of)] : []), { label: "steer" }], sae: firstSAE });

  const cells = grid.cells;
  const chosen = state.chosen.length > 0 ? state.chosen : cells.filter(({ row, column }) => row === 0 && column >= 2 && column <= 4).map(cellName);
  const choose = (cell: string) => change({ chosen: withCell(chosen, cell) });
  const shown: Shown[] = chosen.flatMap((name) => {
    const cell = cells.find((each) => cellName(each) === name);
    const completion = cell && known.sets.get(cell.set);
    if (!cell || !completion) return [];
    const several = new Set(chosen.map((each) => each[0])).size > 1;
    return [
      {
        key: name,
        title: several ? `${cell.edit.feature} ${cell.title}` : cell.title,
        says: `feature ${cell.edit.feature} of ${cell.edit.sae}, ${cell.title}`,
        completion,
      },
    ];
  });
  useKeys("Steering", [
    { keys: ["e"], does: "edit the prompt", run: () => input.current?.focus() },
    { keys: ["j", "k"], does: "next, previous cell of the grid", run: (key) => setAt((was) => Math.min(Math.max(was + (key === "j" ? 1 : -1), 0), Math.max(cells.length - 1, 0))) },
    { keys: ["x"], does: "put the cell beside the default, or away", run: () => cells[at] && choose(cellName(cells[at])) },
    { keys: ["Enter"], does: "run", run: () => start() },
    { keys: ["Escape"], does: "stop", run: cancel },
  ]);
  useEffect(() => {
    const cell = cells[at];
    if (cell) announce(`feature ${cell.edit.feature}, ${cell.title}`);
    // Said when one goes to it, not when the grid changes.
    // oxlint-disable-next-line react-hooks/exhaustive-deps
  }, [at]);

  const copy = async () => {
    const names = [...new Set(edited.map(({ sae }) => sae))];
    const named = await Promise.all(names.map((name) => getSAE(name)));
    const paths = new Map(named.map((each) => [each.name, each.sae_path]));
    await navigator.clipboard.writeText(pythonOf(state, named[0]?.model ?? "", paths, maxima));
    setCopied(true);
    announce("Copied");
  };

  if (saes.error) return <div className="wrap"><Failed what="The SAEs can't be listed:" error={saes.error} retry={() => void saes.refetch()} /></div>;
  return (
    <div className="wrap steer-page">
      <header className="page-head">
        <h1>Steer</h1>
        <textarea
          ref={input}
          className="field steer-prompt"
          aria-label="Prompt"
          placeholder="A prompt for the model to go on with"
          rows={Math.min(prompt.split("\n").length, 5)}
          value={prompt}
          onChange={(event) => change({ prompt: event.currentTarget.value })}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey) return;
            event.preventDefault();
            start();
          }}
        />
        <SteerSettings state={state} onChange={change} />
      </header>
      <ModelNote about={about.data} what="Steering" />
      <div className="steer-split">
        <aside className="steer-side">
          <section>
            <h2>
              Edits <small>unit: activation of the feature</small>
            </h2>
            <EditList edited={edited} facts={facts} onChange={(next) => change({ edited: next, chosen: [] }, "push")} />
            {edited.length < MOST_FEATURES && (
              <AddFeature
                saes={all.filter(({ model }) => model === (of ?? all[0])?.model)}
                first={firstSAE}
                onAdd={(added) => change({ edited: [...edited, added] }, "push")}
              />
            )}
            <div className="chips">
              {running ? (
                <button type="button" className="button" onClick={cancel}>
                  stop <kbd>Esc</kbd>
                </button>
              ) : (
                <button type="button" className="button" disabled={!complete} onClick={start}>
                  run all ⏎
                </button>
              )}
              <button type="button" className="button" disabled={edited.length === 0} onClick={() => void copy()}>
                {copied ? "copied" : "copy Python"}
              </button>
              {isOld && <span className="soft">changed since: run again</span>}
            </div>
          </section>
          <NextTokens own={known.default} shown={shown} />
        </aside>
        <div className="steer-main">
          {steering.error && <Failed what="Not steered:" error={steering.error} retry={start} />}
          {known.error && <Failed what="Ended before its time:" error={new Error(known.error)} retry={start} />}
          {edited.length === 0 ? (
            <Empty>
              No feature is edited yet. Add one by its number, or press <kbd>s</kbd> on a feature's page.
            </Empty>
          ) : (
            <section aria-busy={running}>
              <h2>
                Every edit by strength
                <small>most likely next token, its probability, KL from default in nats; press a cell to see it below</small>
              </h2>
              <SteerGrid grid={grid} edited={edited} silent={silent} known={known} chosen={chosen} at={cells[at]} onChoose={choose} />
            </section>
          )}
          {running && known.default.tokens.length === 0 && <Skeleton rows={5} label="The model writes" />}
          {known.default.tokens.length > 0 && (
            <>
              <Continuations own={known.default} shown={shown} />
              <WhereFelt shown={shown} />
              <p className="note">Strengths that break the model are shown with their KL, not hidden.</p>
            </>
          )}
        </div>
      </div>
    </div>
  );
}
