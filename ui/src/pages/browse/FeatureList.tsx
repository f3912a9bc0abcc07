import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, type KeyboardEvent } from "react";
import { Link } from "react-router";
import type { Columns } from "../../api/columns";
import { Label } from "../../components/Label";
import { activation, percent, share } from "../../format";
import { numberColumn } from "../../list/columns";
import type { FeatureList as Facts } from "../../list/useList";
import { sortedBy, writeList, type ListState } from "../../list/state";
import { ColumnMenu } from "./ColumnMenu";

interface FeatureListProps {
  list: Facts;
  /** Row of the columns that is shown beside. */
  selected: number | undefined;
  onSelect: (row: number) => void;
  onOpen: (row: number) => void;
  onStep: (steps: number) => void;
  onChange: (state: ListState) => void;
  addressOf: (row: number) => string;
  narrow: boolean;
}

const HEADS = [
  ["index", "no."],
  ["label", "label"],
  ["density", "density"],
  ["maximum", "max"],
  ["histogram", "histogram"],
  ["twin", "twin"],
] as const;

/** All features of the list, of which those in sight are drawn. One stop of the Tab key. */
export function FeatureList({ list, selected, onSelect, onOpen, onStep, onChange, addressOf, narrow }: FeatureListProps) {
  const { columns, selection, state } = list;
  const { rows } = selection;
  const scroller = useRef<HTMLDivElement>(null);
  // What it gives changes as one scrolls, and is used here alone.
  // oxlint-disable-next-line react/incompatible-library
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => (narrow ? 44 : 28),
    overscan: 8,
  });
  const place = selected === undefined ? -1 : rows.indexOf(selected);
  const { measure, scrollToIndex } = virtual;
  useEffect(() => measure(), [narrow, measure]);
  // Another order or other filters are read from the top; another selection is kept in sight.
  const order = writeList(state).toString();
  const last = useRef({ order, place: -1 });
  useEffect(() => {
    if (last.current.order !== order) scrollToIndex(0);
    else if (place >= 0 && place !== last.current.place) scrollToIndex(place, { align: "auto" });
    last.current = { order, place };
  }, [place, order, scrollToIndex]);

  function press(event: KeyboardEvent) {
    if (event.target !== event.currentTarget) return; // a head's button or menu has the focus
    const page = Math.max(Math.floor((scroller.current?.clientHeight ?? 280) / 28) - 1, 1);
    const steps: Record<string, number> = {
      ArrowDown: 1,
      ArrowUp: -1,
      PageDown: page,
      PageUp: -page,
      Home: -rows.length,
      End: rows.length,
    };
    const by = steps[event.key];
    if (by !== undefined) {
      event.preventDefault();
      onStep(by);
    } else if (event.key === "Enter" && selected !== undefined) {
      event.preventDefault();
      onOpen(selected);
    }
  }

  return (
    <div
      className="grid"
      role="grid"
      aria-label="Features"
      aria-rowcount={rows.length + 1}
      aria-colcount={HEADS.length}
      tabIndex={0}
      aria-activedescendant={place >= 0 ? `row-${selected}` : undefined}
      onKeyDown={press}
    >
      <div role="rowgroup">
        <div className="row head" role="row" aria-rowindex={1}>
          {HEADS.map(([key, name]) => (
            <Head key={key} column={key} name={name} list={list} onChange={onChange} />
          ))}
        </div>
      </div>
      <div ref={scroller} className="rows" role="rowgroup">
        <div role="presentation" style={{ height: virtual.getTotalSize(), position: "relative" }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index] ?? 0;
            return (
              // Keys go to the grid, which has the focus.
              // oxlint-disable-next-line jsx-a11y/click-events-have-key-events
              <div
                key={item.key}
                id={`row-${row}`}
                className="row"
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={row === selected}
                style={{ transform: `translateY(${item.start}px)` }}
                onClick={(event) => {
                  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
                  event.preventDefault();
                  onSelect(row);
                }}
                onDoubleClick={() => onOpen(row)}
              >
                <span role="gridcell">
                  <Link to={addressOf(row)} tabIndex={-1}>
                    {columns.first + row}
                  </Link>
                </span>
                <span role="gridcell">
                  <Label {...list.label(row)} />
                </span>
                <Figures list={list} row={row} />
              </div>
            );
          })}
        </div>
      </div>
      {rows.length === 0 && <NoRows list={list} state={state} onChange={onChange} />}
    </div>
  );
}

function Figures({ list: { columns }, row }: { list: Facts; row: number }) {
  const density = numberColumn("density")?.values(columns)[row];
  const twin = columns.twinCosine?.[row];
  return (
    <>
      <span role="gridcell">{percent(density)}</span>
      <span role="gridcell">{activation(columns.maximum[row] ?? null)}</span>
      <span role="gridcell" aria-label={`active on ${columns.firings[row]} tokens`}>
        <Spark columns={columns} row={row} />
      </span>
      <span role="gridcell">{share(twin)}</span>
    </>
  );
}

const BARS = 16;

/** The histogram of activations in a row, drawn from its bytes. */
function Spark({ columns, row }: { columns: Columns; row: number }) {
  const bins = columns.histogram.length / Math.max(columns.rows, 1);
  const per = Math.max(Math.floor(bins / BARS), 1);
  const heights: number[] = [];
  for (let bar = 0; bar < bins / per; bar++) {
    let high = 0;
    for (let bin = 0; bin < per; bin++) high = Math.max(high, columns.histogram[row * bins + bar * per + bin] ?? 0);
    heights.push(high);
  }
  const highest = Math.max(...heights, 1);
  const path = heights
    .map((high, bar) => (high === 0 ? "" : `M${bar * 4} 18v${(-18 * high) / highest}h3V18z`))
    .join("");
  return (
    <svg className="spark" viewBox="0 0 64 18" preserveAspectRatio="none" aria-hidden="true">
      <path d={path} />
    </svg>
  );
}

function Head({ column, name, list, onChange }: { column: string; name: string; list: Facts; onChange: (state: ListState) => void }) {
  const { state, columns } = list;
  const facts = numberColumn(column);
  const sorts = column !== "histogram";
  const by = state.sort === column;
  const order = state.descending ? "descending" : "ascending";
  const arrow = state.descending ? " ↓" : " ↑";
  return (
    <span role="columnheader" aria-sort={sorts ? (by ? order : "none") : undefined} className={by ? "by" : undefined}>
      {sorts ? (
        <button type="button" data-says={facts?.means} onClick={() => onChange(sortedBy(state, column))}>
          {name}
          {by && <span aria-hidden="true">{arrow}</span>}
        </button>
      ) : (
        name
      )}
      {facts && <ColumnMenu column={facts} columns={columns} state={state} onChange={onChange} />}
    </span>
  );
}

/** Nothing passes: names the filter to take off and how many that brings back. */
function NoRows({ list, state, onChange }: { list: Facts; state: ListState; onChange: (state: ListState) => void }) {
  const best = list.selection.chips.toSorted((a, b) => b.hides - a.hides)[0];
  return (
    <p className="empty">
      No feature passes all filters.{" "}
      {best && best.hides > 0 ? (
        <button type="button" className="link" onClick={() => onChange(best.without)}>
          Take off “{best.key}”, which brings back {best.hides}
        </button>
      ) : (
        <button type="button" className="link" onClick={() => onChange({ ...state, kinds: [], ranges: {}, fires: "", promotes: "", text: "", explained: false, noted: false, list: "" })}>
          Take off all
        </button>
      )}
    </p>
  );
}
