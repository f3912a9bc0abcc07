import { useEffect, useRef } from "react";
import { useNavigate } from "react-router";
import { useTranscoders } from "../../api/graphs";
import { useAbout } from "../../api/queries";
import { useHash } from "../../components/lab/hash";
import { ModelNote } from "../../components/lab/ModelNote";
import { Failed } from "../../components/States";
import { TRAIN_TRANSCODERS } from "../../commands";
import { count } from "../../format";
import { announce } from "../../page";
import { graphPath } from "./addresses";
import { readNewTrace, writeNewTrace } from "./state";
import { useTrace } from "./useTrace";

const ABLATIONS = 50;

/** A prompt that is traced with the transcoders of this database, and checked in the real model. */
export function NewTrace() {
  const [asked, change] = useHash(readNewTrace, writeNewTrace);
  const about = useAbout().data;
  const sets = useTranscoders();
  const navigate = useNavigate();
  const { running, progress, error, run, cancel } = useTrace();
  const chosen = sets.data?.find((each) => each.run === asked.run) ?? sets.data?.[0];
  const verify = useRef<HTMLInputElement>(null);
  const canRun = chosen !== undefined && (about?.asks_model ?? false) && asked.text.trim() !== "";
  const start = () => {
    if (!chosen || !canRun) return;
    const body = { saes: chosen.saes, prompt: asked.text, targets: [], verify: verify.current?.checked === false ? 0 : ABLATIONS };
    run(body, (name) => {
      announce("The graph is made");
      void navigate(graphPath(name));
    });
  };
  // From the prompt page: once, and not again when one comes back.
  useEffect(() => {
    if (!asked.start || !canRun) return;
    change({ start: false });
    start();
  });
  if (about && !about.asks_model) return <ModelNote about={about} what="A trace" />;
  if (sets.error) return <Failed what="The transcoders can't be listed:" error={sets.error} retry={() => void sets.refetch()} />;
  if (sets.data?.length === 0) {
    return (
      <p className="soft small">
        To trace a prompt here, train a transcoder for each layer and analyze them: <code>{TRAIN_TRANSCODERS}</code>
      </p>
    );
  }
  return (
    <form
      className="new-trace"
      onSubmit={(event) => {
        event.preventDefault();
        start();
      }}
    >
      <textarea
        className="field"
        aria-label="Prompt to trace"
        placeholder="A prompt: what made the model say what comes next?"
        rows={Math.min(asked.text.split("\n").length, 5)}
        value={asked.text}
        onChange={(event) => change({ text: event.currentTarget.value, start: false })}
        onKeyDown={(event) => {
          if (event.key !== "Enter" || event.shiftKey) return;
          event.preventDefault();
          start();
        }}
      />
      <div className="chips">
        {(sets.data?.length ?? 0) > 1 && (
          <select className="field" aria-label="Transcoders" value={chosen?.run} onChange={(event) => change({ run: event.currentTarget.value })}>
            {sets.data?.map((each) => (
              <option key={each.run} value={each.run}>
                {each.run} · {each.saes.length} transcoders
              </option>
            ))}
          </select>
        )}
        <label>
          <input ref={verify} type="checkbox" defaultChecked /> check it with {ABLATIONS} ablations in the real model
        </label>
        {running ? (
          <button type="button" className="button" onClick={cancel}>
            stop
          </button>
        ) : (
          <button type="submit" className="button" disabled={!canRun}>
            trace
          </button>
        )}
      </div>
      {running && (
        <p className="soft small" role="status">
          {progress ? `${progress.what} ` : "starting "}
          {progress?.total ? (
            <>
              <progress max={progress.total} value={progress.done} aria-label={progress.what} /> {count(progress.done)} of {count(progress.total)} {progress.unit}
            </>
          ) : (
            "…"
          )}
        </p>
      )}
      {error && <Failed what="Not traced:" error={error} retry={start} />}
    </form>
  );
}
