import { expect, test } from "vitest";
import { marked, matches, settings, sorted } from "./rows";

test("what was not measured is last whichever way the table is sorted", () => {
  const rows = [{ v: 2 }, { v: null }, { v: 0 }, { v: 10 }];
  const values = (descending: boolean) => sorted(rows, ({ v }) => v, descending).map(({ v }) => v);
  expect(values(false)).toEqual([0, 2, 10, null]);
  expect(values(true)).toEqual([10, 2, 0, null]);
});

test("names with numbers sort by the numbers", () => {
  const names = ["topk-32", "topk-8", "topk-128"];
  expect(sorted(names, (name) => name, false)).toEqual(["topk-8", "topk-32", "topk-128"]);
});

test("every word of a search has to be somewhere", () => {
  expect(matches("TOPK 32", ["sweep:topk-32", "k 32"])).toBe(true);
  expect(matches("topk relu", ["sweep:topk-32"])).toBe(false);
  expect(matches("  ", ["anything"])).toBe(true);
});

test("marks go on and off, and a fifth takes the place of the first", () => {
  expect(marked(["a"], "b")).toEqual(["a", "b"]);
  expect(marked(["a", "b"], "a")).toEqual(["b"]);
  expect(marked(["a", "b", "c", "d"], "e")).toEqual(["b", "c", "d", "e"]);
});

test("settings that are one value can be searched for", () => {
  expect(settings({ k: 32, name: "x", nested: { a: 1 }, none: null })).toBe("k 32 name x");
});
