import type { CSSProperties } from "react";
import { Link } from "react-router";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { Wide } from "../../components/lab/Wide";
import { share } from "../../format";
import { featurePath } from "../../paths";
import { alone } from "../../tokens";
import { nats, type Completions } from "./completions";
import { needsFiring, type Cell, type Edited, type Grid } from "./grid";

interface SteerGridProps {
  grid: Grid;
  edited: readonly Edited[];
  /** By row: the feature fires nowhere in the prompt; undefined while that isn't known. */
  silent: readonly (boolean | undefined)[];
  known: Completions;
  chosen: readonly string[];
  /** The cell that keys stand at. */
  at: Cell | undefined;
  onChoose: (cell: string) => void;
}

export const cellName = ({ row, column }: { row: number; column: number }) => `${row}.${column}`;

/** Rust that deepens with the divergence: half of it at 0.5 nats. */
export const klShade = (kl: number): CSSProperties =>
  ({ "--kl": (kl / (kl + 0.5)).toFixed(3) }) as CSSProperties;

/** Every edit by strength: the likeliest next token, its probability, and how far from the default. */
export function SteerGrid(props: SteerGridProps) {
  const { grid, edited, silent, known, chosen, at, onChoose } = props;
  return (
    <Wide label="Every edit by strength">
      <table className="steer-grid">
        <thead>
          <tr>
            <th scope="col" className="first">
              <span className="heard">feature</span>
            </th>
            {grid.columns.map((title) => (
              <th key={title} scope="col">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {edited.map(({ sae, feature }, row) => (
            // oxlint-disable-next-line react/no-array-index-key -- a feature may be edited twice
            <tr key={row}>
              <th scope="row">
                <Link to={featurePath(sae, feature)}>{feature}</Link>{" "}
                {silent[row] && <span className="soft">silent in the prompt</span>}
                <FeatureLabel sae={sae} index={feature} />
              </th>
              {grid.columns.map((title, column) => (
                <td key={title} className={at?.row === row && at.column === column ? "at" : undefined}>
                  <CellButton
                    cell={grid.cells.find((each) => each.row === row && each.column === column)}
                    silent={silent[row] ?? false}
                    known={known}
                    chosen={chosen}
                    onChoose={onChoose}
                  />
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}

interface CellButtonProps {
  cell: Cell | undefined;
  silent: boolean;
  known: Completions;
  chosen: readonly string[];
  onChoose: (cell: string) => void;
}

function CellButton({ cell, silent, known, chosen, onChoose }: CellButtonProps) {
  if (!cell) return null;
  const name = cellName(cell);
  const completion = known.sets.get(cell.set);
  const first = completion?.tokens[0]?.likeliest[0];
  const kl = completion?.done?.kl[0];
  // The feature may fire in what is written, so the completion can still differ later on.
  const noted = silent && needsFiring(cell.edit.method) && completion?.done?.kl.every((each) => each === 0);
  if (noted) return <p className="steer-cell silent">nothing to {cell.edit.method}: it is silent here</p>;
  return (
    <button
      type="button"
      className="steer-cell"
      aria-pressed={chosen.includes(name)}
      style={kl === undefined ? undefined : klShade(kl)}
      onClick={() => onChoose(name)}
    >
      <span className="next">
        <code>{first ? alone(first.token) : "…"}</code>
        <span>{first ? share(Math.exp(first.log_probability)) : ""}</span>
      </span>
      <span>
        {cell.title} · KL {nats(kl)}
      </span>
    </button>
  );
}
