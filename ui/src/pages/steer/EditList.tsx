import { useId } from "react";
import { Link } from "react-router";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { Segments } from "../../components/lab/Segments";
import { figure } from "../../format";
import { featurePath } from "../../paths";
import { isFactor, METHODS, strength, type Edited, type Method } from "./grid";
import type { Facts } from "./data";

interface EditListProps {
  edited: readonly Edited[];
  facts: readonly Facts[];
  onChange: (edited: Edited[]) => void;
}

const SAYS: Record<Method, string> = {
  add: "the feature's activation is raised by so much",
  set: "the activation becomes this, where it fires and where it does not",
  scale: "the activation is multiplied",
  orthogonal: "the model's own component along the feature's direction is multiplied",
};

/** The features that are edited, how, and a strength of one's own beside those of the grid. */
export function EditList({ edited, facts, onChange }: EditListProps) {
  const change = (row: number, changes: Partial<Edited>) =>
    onChange(edited.map((each, i) => (i === row ? { ...each, ...changes } : each)));
  return (
    <ol className="edits">
      {edited.map((each, row) => {
        const known = facts[row];
        return (
          // oxlint-disable-next-line react/no-array-index-key -- a feature may be edited twice
          <li key={row}>
            <div className="edit-head">
              <Link to={featurePath(each.sae, each.feature)}>{each.feature}</Link>
              <FeatureLabel sae={each.sae} index={each.feature} />
              <span className="soft">
                {known?.error ? "not analyzed" : `max ${figure(known?.maximum ?? null)}`}
              </span>
              <button
                type="button"
                className="icon"
                aria-label={`Without feature ${each.feature}`}
                onClick={() => onChange(edited.filter((_, i) => i !== row))}
              >
                ×
              </button>
            </div>
            {known?.error && <p className="note">{known.error.message}</p>}
            <div className="edit-how">
              <Segments
                label={`How feature ${each.feature} is edited`}
                value={each.method}
                options={METHODS.map((method) => ({ value: method, title: method, says: SAYS[method] }))}
                onChange={(method) => change(row, { method, value: null })}
              />
              <Slider
                edited={each}
                maximum={known?.maximum ?? null}
                mean={known?.mean ?? null}
                onChange={(value) => change(row, { value })}
              />
            </div>
          </li>
        );
      })}
    </ol>
  );
}

interface SliderProps {
  edited: Edited;
  maximum: number | null;
  mean: number | null;
  onChange: (value: number | null) => void;
}

/** A strength in activations, with marks at the feature's mean and maximum; a factor has neither. */
function Slider({ edited, maximum, mean, onChange }: SliderProps) {
  const id = useId();
  const factor = isFactor(edited.method);
  const most = factor ? 4 : 4 * (maximum ?? 1);
  const least = edited.method === "set" ? 0 : -most;
  const place = (value: number) => `${(100 * (value - least)) / (most - least)}%`;
  const marks = factor
    ? [{ value: 1, title: "unchanged" }]
    : [
        ...(mean === null ? [] : [{ value: mean, title: "mean" }]),
        ...(maximum === null ? [] : [{ value: maximum, title: "maximum" }]),
      ];
  return (
    <div className="slider">
      <span className="slider-track">
        <input
          id={id}
          type="range"
          min={least}
          max={most}
          step={(most - least) / 400}
          value={edited.value ?? (factor ? 1 : 0)}
          disabled={maximum === null}
          aria-label={`Own strength of feature ${edited.feature}, ${factor ? "a factor" : "in its activations"}`}
          aria-valuetext={edited.value === null ? "none" : strength(edited.method, edited.value)}
          onChange={(event) => onChange(Number(Number(event.currentTarget.value).toPrecision(4)))}
        />
        {marks.map(({ value, title }) => (
          <i key={title} style={{ left: place(value) }} data-says={`${title} ${figure(value)}`} />
        ))}
      </span>
      {edited.value === null ? (
        <output htmlFor={id} className="soft">
          –
        </output>
      ) : (
        <button
          type="button"
          className="link"
          data-says="take the own strength away"
          onClick={() => onChange(null)}
        >
          {strength(edited.method, edited.value)} ×
        </button>
      )}
    </div>
  );
}
