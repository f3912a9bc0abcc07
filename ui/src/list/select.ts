/** The features of a list in their order: sorted once, filtered in one pass, nothing asked. */
import type { Columns } from "../api/columns";
import { DENSE_FROM, NO_TOKEN, numberColumn } from "./columns";
import type { Kind, ListState } from "./state";

/** A filter that is on, and what to do to take it off. */
export interface Chip {
  key: string;
  /** Features that pass all other filters and not this one: taking it off brings them back. */
  hides: number;
  without: ListState;
}

export interface Selection {
  /** Rows of the columns. Index of a feature = `columns.first` + row. */
  rows: Uint32Array;
  /** 1 for each row that passes. */
  passes: Uint8Array;
  chips: Chip[];
}

/** What filters need beside the columns. */
export interface Beside {
  /** Ids of the tokens that are written so. */
  idsOf: (token: string) => readonly number[];
  /** Label of a row as text, with what was said of it, in lower case. */
  words: (row: number) => string;
  explained: ReadonlySet<number>;
  noted: ReadonlySet<number>;
  /** Features in the list that is asked for. */
  listed: ReadonlySet<number> | undefined;
}

export function kindOf(columns: Columns, row: number): Kind {
  const firings = columns.firings[row] ?? 0;
  if (firings === 0) return "dead";
  return firings > DENSE_FROM * columns.tokensAnalyzed ? "dense" : "regular";
}

type Test = (row: number) => boolean;

function filtersOf(columns: Columns, state: ListState, beside: Beside): [string, Test, ListState][] {
  const filters: [string, Test, ListState][] = [];
  if (state.kinds.length > 0) {
    const kinds = new Set(state.kinds);
    filters.push(["class", (row) => kinds.has(kindOf(columns, row)), { ...state, kinds: [] }]);
  }
  for (const [key, { low, high }] of Object.entries(state.ranges)) {
    const values = numberColumn(key)?.values(columns);
    if (values === undefined) continue;
    const { [key]: _, ...ranges } = state.ranges;
    const test: Test = (row) => {
      const value = values[row] ?? Number.NaN;
      return value >= low && value <= high;
    };
    filters.push([key, test, { ...state, ranges }]);
  }
  for (const key of ["fires", "promotes"] as const) {
    if (state[key] === "") continue;
    const ids = new Set(beside.idsOf(state[key]));
    const column = key === "fires" ? columns.firesOn : columns.promotes;
    const width = column.length / Math.max(columns.rows, 1);
    const test: Test = (row) => {
      for (let place = row * width; place < (row + 1) * width; place++) {
        if (ids.has(column[place] ?? NO_TOKEN)) return true;
      }
      return false;
    };
    filters.push([key, test, { ...state, [key]: "" }]);
  }
  if (state.text !== "") {
    const text = state.text.toLowerCase();
    filters.push(["text", (row) => beside.words(row).includes(text), { ...state, text: "" }]);
  }
  for (const key of ["explained", "noted"] as const) {
    if (state[key]) filters.push([key, (row) => beside[key].has(columns.first + row), { ...state, [key]: false }]);
  }
  if (state.list !== "") {
    const { listed } = beside;
    const test: Test = (row) => listed?.has(columns.first + row) ?? false;
    filters.push(["list", test, { ...state, list: "" }]);
  }
  return filters;
}

export function select(columns: Columns, state: ListState, beside: Beside): Selection {
  const filters = filtersOf(columns, state, beside);
  const hides = new Uint32Array(filters.length);
  const passes = new Uint8Array(columns.rows);
  let shown = 0;
  for (let row = 0; row < columns.rows; row++) {
    let failed = -1;
    let failures = 0;
    for (let i = 0; i < filters.length && failures < 2; i++) {
      if (filters[i]?.[1](row)) continue;
      failed = i;
      failures++;
    }
    if (failures === 0) {
      passes[row] = 1;
      shown++;
    } else if (failures === 1) hides[failed] = (hides[failed] ?? 0) + 1;
  }
  const rows = new Uint32Array(shown);
  let place = 0;
  const order = sorted(columns, state.sort, state.descending);
  for (let i = 0; i < order.length; i++) {
    const row = order[i] ?? 0;
    if (passes[row] === 1) rows[place++] = row;
  }
  const chips = filters.map(([key, , without], i) => ({ key, hides: hides[i] ?? 0, without }));
  return { rows, passes, chips };
}

const orders = new WeakMap<Columns, Map<string, Uint32Array>>();
const INDEX_SPAN = 2 ** 20;

/** All rows by a column, equal ones by number, those without a value last; kept for each SAE. */
function sorted(columns: Columns, key: string, descending: boolean): Uint32Array {
  let own = orders.get(columns);
  if (own === undefined) orders.set(columns, (own = new Map()));
  const name = `${key} ${descending}`;
  let order = own.get(name);
  if (order === undefined) own.set(name, (order = sort(columns, key, descending)));
  return order;
}

function sort(columns: Columns, key: string, descending: boolean): Uint32Array {
  const values = numberColumn(key)?.values(columns);
  // Loops, not `from`: with a function for each element that takes most of the time.
  const rows = new Uint32Array(columns.rows);
  for (let row = 0; row < rows.length; row++) rows[row] = row;
  if (values === undefined) return descending ? rows.toReversed() : rows;
  if (columns.rows > INDEX_SPAN) {
    const sign = descending ? -1 : 1;
    return rows.toSorted((a, b) => compare(values[a] ?? Number.NaN, values[b] ?? Number.NaN, sign) || a - b);
  }
  // Value and row in one float64 each, which typed arrays sort without a comparison of ours.
  const bits = new Int32Array(values.slice().buffer);
  const keys = new Float64Array(columns.rows);
  for (let row = 0; row < keys.length; row++) {
    const value = values[row] ?? Number.NaN;
    const bit = value === 0 ? 0 : (bits[row] ?? 0); // −0 is 0
    const ranked = bit < 0 ? -0x8000_0000 - bit : bit; // as the floats are ordered
    keys[row] = (Number.isNaN(value) ? 0x8000_0000 : descending ? -ranked : ranked) * INDEX_SPAN + row;
  }
  keys.sort();
  for (let place = 0; place < keys.length; place++) {
    const each = keys[place] ?? 0;
    rows[place] = each - Math.floor(each / INDEX_SPAN) * INDEX_SPAN;
  }
  return rows;
}

function compare(a: number, b: number, sign: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return sign * (a - b);
}

/** The row some steps further in the list; from a row that is not in it, its first. */
export function stepped(rows: Uint32Array, from: number | undefined, steps: number): number | undefined {
  if (rows.length === 0) return undefined;
  const place = from === undefined ? -1 : rows.indexOf(from);
  if (place === -1) return rows[0];
  return rows[Math.min(Math.max(place + steps, 0), rows.length - 1)];
}
