import { useId } from "react";
import { count, percent } from "../../format";
import type { GraphState } from "./state";
import type { Shown } from "./view";

interface ThresholdsProps {
  state: GraphState;
  /** Share of the influence that all nodes of the graph hold. */
  kept: number;
  hidden: Shown["hidden"];
  onChange: (change: Partial<GraphState>) => void;
}

const MOST_OF_TARGET = 0.2;

/** What is left out, each with how many it hides. */
export function Thresholds({ state, kept, hidden, onChange }: ThresholdsProps) {
  const keep = Math.min(state.keep ?? kept, kept);
  return (
    <div className="thresholds" role="group" aria-label="What is shown">
      <Slider
        label="nodes that hold"
        value={percent(keep)}
        after={`of the influence · ${count(hidden.influence)} hidden`}
        number={keep}
        max={kept}
        step={0.01}
        onChange={(next) => onChange({ keep: next >= kept - 0.005 ? null : next })}
      />
      <Slider
        label="edges of"
        value={state.least === 0 ? "any size" : `${percent(state.least)} and more`}
        after={`of what drives their target · ${count(hidden.edges)} hidden`}
        number={state.least}
        max={MOST_OF_TARGET}
        step={0.005}
        onChange={(least) => onChange({ least })}
      />
      <button type="button" className="chip" aria-pressed={!state.errors} data-says="what transcoders miss" onClick={() => onChange({ errors: !state.errors })}>
        {state.errors ? (
          "hide errors"
        ) : (
          <>
            errors hidden <b>{count(hidden.errors)}</b> ×
          </>
        )}
      </button>
      {state.hidden.length > 0 && (
        <button type="button" className="chip on" onClick={() => onChange({ hidden: [] })}>
          hidden by hand <b>{count(hidden.byHand)}</b> ×
        </button>
      )}
    </div>
  );
}

interface SliderProps {
  label: string;
  value: string;
  after: string;
  number: number;
  max: number;
  step: number;
  onChange: (value: number) => void;
}

function Slider({ label, value, after, number, max, step, onChange }: SliderProps) {
  const id = useId();
  return (
    <span className="threshold">
      <label htmlFor={id}>
        {label} <b>{value}</b> <span className="soft">{after}</span>
      </label>
      <input
        id={id}
        type="range"
        min={0}
        max={max}
        step={step}
        value={number}
        aria-valuetext={`${value} ${after}`}
        onChange={(event) => onChange(Number(event.currentTarget.value))}
      />
    </span>
  );
}
