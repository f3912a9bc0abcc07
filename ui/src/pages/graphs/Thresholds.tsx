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
  const most = Math.ceil(100 * kept);
  return (
    <div className="thresholds" role="group" aria-label="What is shown">
      <Slider
        label="nodes that hold"
        value={percent(keep)}
        after={`of the influence · ${count(hidden.influence)} hidden`}
        number={Math.round(100 * keep)}
        max={most}
        onChange={(next) => onChange({ keep: next === most ? null : next / 100 })}
      />
      <Slider
        label="edges of"
        value={state.least === 0 ? "any size" : `${percent(state.least)} and more`}
        after={`of what drives their target · ${count(hidden.edges)} hidden`}
        number={Math.round(1000 * state.least)}
        max={1000 * MOST_OF_TARGET}
        onChange={(next) => onChange({ least: next / 1000 })}
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
  /** Steps are whole numbers: a browser rounds others otherwise than the address does. */
  max: number;
  onChange: (value: number) => void;
}

function Slider({ label, value, after, number, max, onChange }: SliderProps) {
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
        value={number}
        aria-valuetext={`${value} ${after}`}
        onChange={(event) => onChange(Number(event.currentTarget.value))}
      />
    </span>
  );
}
