import { expect, test } from "vitest";
import type { ContextGroup, FeatureContext } from "../../api/contexts";
import { contextRows, mostChanged, shareBelow } from "./contextRows";

const TOKENS = ["zero", " b", "A", " c", "peak"];

function context(number: number, tokenIds: number[], position: number): FeatureContext {
  const activations = new Float32Array(tokenIds.length);
  return { context: number, maximum: 10 - number, position, tokenIds: Uint32Array.from(tokenIds), activations, first: 0, length: tokenIds.length, boundaries: [] };
}

function group(contexts: FeatureContext[]): ContextGroup {
  return { analysis: "", vocabulary: "", group: "top", available: 9, stored: 3, lower: null, upper: null, contexts };
}

test("windows that look the same are one row, which says how many they are", () => {
  const rows = contextRows(group([context(1, [1, 4, 2], 1), context(2, [1, 4, 2], 1), context(3, [1, 4, 3], 1)]), "value", String);
  expect(rows.map((row) => [row.context.context, row.times])).toEqual([
    [1, 2],
    [3, 1],
  ]);
});

test("the same tokens around another place are another row", () => {
  expect(contextRows(group([context(1, [4, 4, 4], 1), context(2, [4, 4, 4], 2)]), "value", String)).toHaveLength(2);
});

test("rows sort by the word on either side, spaces and case aside", () => {
  const three = group([context(1, [3, 4, 1], 1), context(2, [1, 4, 2], 1), context(3, [2, 4, 3], 1)]);
  const order = (sort: "left" | "right") => contextRows(three, sort, (id) => TOKENS[id] ?? "").map((row) => row.context.context);
  expect(order("left")).toEqual([3, 2, 1]);
  expect(order("right")).toEqual([2, 1, 3]);
  expect(contextRows(group([context(1, [4], 0)]), "left", String)).toHaveLength(1);
});

test("a value's place among the firings comes from the histogram", () => {
  const histogram = { counts: [6, 2, 2], upper: 3 };
  expect(shareBelow(histogram, 0)).toBe(0);
  expect(shareBelow(histogram, 1)).toBeCloseTo(0.6);
  expect(shareBelow(histogram, 1.5)).toBeCloseTo(0.7);
  expect(shareBelow(histogram, 99)).toBe(1);
  expect(shareBelow({ counts: [0], upper: 0 }, 1)).toBeNull();
});

test("the largest changes come first, either way, without what is null or 0", () => {
  expect(mostChanged([0.1, -0.5, null, 0, 0.3, -0.1], 4)).toEqual([1, 4, 0, 5]);
  expect(mostChanged([null, 0], 4)).toEqual([]);
});
