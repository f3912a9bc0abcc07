import { useRef, useState, type PointerEvent } from "react";
import type { Columns } from "../../api/columns";
import { Menu } from "../../components/Menu";
import type { NumberColumn } from "../../list/columns";
import { binned } from "../../list/bins";
import { withRange, type ListState, type Range } from "../../list/state";

interface ColumnMenuProps {
  column: NumberColumn;
  columns: Columns;
  state: ListState;
  onChange: (state: ListState) => void;
}

/** A column's histogram with a brush, the same bounds as numbers, and its order. */
export function ColumnMenu(props: ColumnMenuProps) {
  const { column, state } = props;
  const on = state.ranges[column.key] !== undefined;
  return (
    <Menu label="▾" name={`Filter by ${column.name}`} className={on ? "head-menu on" : "head-menu"}>
      {() => <ColumnFilter {...props} />}
    </Menu>
  );
}

const WIDTH = 240;
const HEIGHT = 56;

/** The same in a menu of several. */
export function ColumnFilter({ column, columns, state, onChange }: ColumnMenuProps) {
  const { counts, edges, missing } = binned(columns, column);
  const range = state.ranges[column.key];
  const [from, setFrom] = useState<number>();
  const svg = useRef<SVGSVGElement>(null);
  const highest = Math.max(...counts, 1);
  const width = WIDTH / counts.length;
  const set = (next: Range | undefined) => onChange(withRange(state, column.key, next));

  function binAt(event: PointerEvent): number {
    const box = svg.current?.getBoundingClientRect();
    const x = box ? (event.clientX - box.left) / box.width : 0;
    return Math.min(Math.max(Math.floor(x * counts.length), 0), counts.length - 1);
  }
  function drag(event: PointerEvent, start: number) {
    const at = binAt(event);
    set({ low: edges[Math.min(start, at)] ?? -Infinity, high: edges[Math.max(start, at) + 1] ?? Infinity });
  }

  return (
    <div className="column-menu">
      <p>
        <b>{column.name}</b> <span className="soft">{column.means}</span>
      </p>
      <svg
        ref={svg}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        width={WIDTH}
        height={HEIGHT}
        aria-label={`Features by ${column.name}`}
        role="img"
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          setFrom(binAt(event));
          drag(event, binAt(event));
        }}
        onPointerMove={(event) => from !== undefined && drag(event, from)}
        onPointerUp={() => setFrom(undefined)}
      >
        {counts.map((value, bin) => {
          const [low, high] = [edges[bin] ?? 0, edges[bin + 1] ?? 0];
          const inside = range === undefined || (high > range.low && low < range.high);
          const tall = value === 0 ? 0 : Math.max((HEIGHT * value) / highest, 1.5);
          return (
            // Bins are positions.
            // oxlint-disable-next-line react/no-array-index-key
            <rect key={bin} className={inside ? "in" : "out"} x={bin * width} y={HEIGHT - tall} width={width - 1} height={tall} />
          );
        })}
      </svg>
      <div className="bounds">
        <Bound label="from" value={range?.low} least={edges[0]} format={column} onSet={(low) => set({ low: low ?? -Infinity, high: range?.high ?? Infinity })} />
        <Bound label="to" value={range?.high} least={edges.at(-1)} format={column} onSet={(high) => set({ low: range?.low ?? -Infinity, high: high ?? Infinity })} />
        {range && (
          <button type="button" className="button" onClick={() => set(undefined)}>
            clear
          </button>
        )}
      </div>
      {missing > 0 && <p className="soft small">{missing} have no value; a filter hides them.</p>}
    </div>
  );
}

function Bound({ label, value, least, format, onSet }: { label: string; value: number | undefined; least: number | undefined; format: NumberColumn; onSet: (value: number | undefined) => void }) {
  const shown = value !== undefined && Number.isFinite(value) ? String(Number(value.toPrecision(4))) : "";
  return (
    <label>
      {label}{" "}
      <input
        key={shown}
        className="field"
        type="text"
        inputMode="decimal"
        defaultValue={shown}
        placeholder={least === undefined ? "" : format.format(least)}
        onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        onBlur={(event) => {
          const text = event.currentTarget.value.trim();
          const number = text === "" ? undefined : Number(text);
          if (number === undefined || Number.isFinite(number)) onSet(number);
        }}
      />
    </label>
  );
}
