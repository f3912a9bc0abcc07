import { expect, test } from "vitest";
import { madeUpColumns } from "./made_up";
import { select, stepped, type Beside } from "./select";
import { INITIAL, readList, sortedBy, withRange, writeList, type ListState } from "./state";

const NOTHING: Beside = {
  idsOf: (token) => [Number(token)],
  words: (row) => `row ${row}`,
  explained: new Set([2]),
  noted: new Set([1, 2]),
  listed: undefined,
};
const rowsOf = (columns: ReturnType<typeof madeUpColumns>, state: Partial<ListState>) =>
  Array.from(select(columns, { ...INITIAL, ...state }, NOTHING).rows);

test("sorts by a column either way, equal values by number, missing ones last", () => {
  const columns = madeUpColumns(6, {
    maximum: Float32Array.from([1, 3, Number.NaN, 3, -2, 0]),
  });
  expect(rowsOf(columns, {})).toEqual([1, 3, 0, 5, 4, 2]);
  expect(rowsOf(columns, { descending: false })).toEqual([4, 5, 0, 1, 3, 2]);
  expect(rowsOf(columns, { sort: "index", descending: true })).toEqual([5, 4, 3, 2, 1, 0]);
});

test("sorts as a comparison does", () => {
  const columns = madeUpColumns(5000);
  const expected = Array.from({ length: 5000 }, (_, row) => row).toSorted(
    (a, b) => (columns.maximum[b] ?? 0) - (columns.maximum[a] ?? 0) || a - b,
  );
  expect(rowsOf(columns, {})).toEqual(expected);
});

test("feature 0 and value 0 are like any other", () => {
  const columns = madeUpColumns(3, { maximum: Float32Array.from([0, 2, 1]) });
  expect(rowsOf(columns, { ranges: { maximum: { low: 0, high: 1 } } })).toEqual([2, 0]);
  expect(stepped(Uint32Array.from([2, 0]), 2, 1)).toBe(0);
});

test("each filter says how many come back when it is taken off", () => {
  const columns = madeUpColumns(4, {
    firings: Uint32Array.from([0, 10, 5000, 20]),
    maximum: Float32Array.from([0, 5, 5, 9]),
  });
  const state: ListState = { ...INITIAL, kinds: ["regular"], ranges: { maximum: { low: 1, high: 6 } } };
  const { rows, chips } = select(columns, state, NOTHING);
  expect(Array.from(rows)).toEqual([1]);
  expect(chips.map(({ key, hides }) => [key, hides])).toEqual([
    ["class", 1],
    ["maximum", 1],
  ]);
  const without = chips[0] && select(columns, chips[0].without, NOTHING);
  expect(Array.from(without?.rows ?? [])).toEqual([1, 2]);
});

test("filters by token, by words and by what is explained", () => {
  const columns = madeUpColumns(50);
  const fires = rowsOf(columns, { fires: "3", sort: "index", descending: false });
  expect(fires).toEqual([0, 1, 2, 3, 39, 40, 41, 42, 43].filter((row) => [0, 1, 2, 3, 4].some((place) => (row + place) % 40 === 3)));
  expect(rowsOf(columns, { text: "ROW 49" })).toEqual([49]);
  expect(rowsOf(columns, { explained: true })).toEqual([2]);
  expect(rowsOf(columns, { noted: true }).toSorted()).toEqual([1, 2]);
});

test("a missing value is in no range", () => {
  const columns = madeUpColumns(3, { twinCosine: Float32Array.from([Number.NaN, 0.2, 0.9]) });
  expect(rowsOf(columns, { ranges: { twin: { low: -Infinity, high: 0.5 } } })).toEqual([1]);
});

test("steps stay in the list and start at its first", () => {
  const rows = Uint32Array.from([5, 2, 9]);
  expect(stepped(rows, 2, 1)).toBe(9);
  expect(stepped(rows, 9, 1)).toBe(9);
  expect(stepped(rows, 5, -1)).toBe(5);
  expect(stepped(rows, 5, 40)).toBe(9);
  expect(stepped(rows, 7, 1)).toBe(5);
  expect(stepped(Uint32Array.of(), 7, 1)).toBeUndefined();
});

test("the state is what the address says and the address what the state says", () => {
  const state: ListState = {
    sort: "density",
    descending: false,
    kinds: ["regular", "dense"],
    ranges: { maximum: { low: 5, high: 12.5 }, density: { low: -Infinity, high: 0.01 } },
    fires: " have",
    promotes: "↵",
    text: "covenant",
    explained: true,
    noted: true,
    list: "a1",
  };
  expect(readList(new URLSearchParams(writeList(state).toString()))).toEqual(state);
  expect(writeList(INITIAL).toString()).toBe("");
  expect(readList(new URLSearchParams("sort=nothing&maximum=a~b&class=odd"))).toEqual(INITIAL);
});

test("a head sorts by its column and turns it when it is pressed again", () => {
  const once = sortedBy(INITIAL, "density");
  expect([once.sort, once.descending]).toEqual(["density", true]);
  expect(sortedBy(once, "density").descending).toBe(false);
  expect(sortedBy(once, "index").descending).toBe(false);
});

test("a range without bounds is none", () => {
  const state = withRange(INITIAL, "maximum", { low: 1, high: Infinity });
  expect(state.ranges["maximum"]).toEqual({ low: 1, high: Infinity });
  expect(withRange(state, "maximum", { low: -Infinity, high: Infinity }).ranges).toEqual({});
});
