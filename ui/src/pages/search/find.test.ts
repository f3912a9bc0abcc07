import { expect, test } from "vitest";
import type { Columns } from "../../api/columns";
import { findFeatures } from "./find";

const NONE = 0xffff_ffff;
const vocabulary = [" the", "The", " sea", " king"];
const columns = {
  analysis: "a",
  vocabulary: "v",
  tokensAnalyzed: 10,
  first: 5,
  rows: 4,
  maximum: Float32Array.of(1, 9, 2, 3),
  labelToken: Uint32Array.of(2, NONE, 0, NONE, 1, NONE, 3, NONE),
  firesOn: Uint32Array.of(2, 0, 2, NONE, 1, NONE, 3, NONE),
  promotes: Uint32Array.of(3, 3, NONE, NONE, NONE, NONE, 0, 2),
} as unknown as Columns;
const search = (query: string, said = new Map<number, string>(), limit = 10) =>
  findFeatures(query, columns, vocabulary, said, limit);

test("labels come first, then what is fired on, then what is promoted", () => {
  expect(search("sea").found).toEqual([
    { index: 5, why: "label" },
    { index: 6, why: "fires on" },
    { index: 8, why: "promotes" },
  ]);
});

test("case and the space before a word don't matter, and the strongest is first", () => {
  expect(search(" THE ").found.map(({ index }) => index)).toEqual([6, 7, 5, 8]);
});

test("what was said of a feature is searched within", () => {
  expect(search("ships", new Map([[7, "names of Ships"]])).found).toEqual([{ index: 7, why: "label" }]);
});

test("what is cut off is counted, and an empty search finds nothing", () => {
  expect(search("the", new Map(), 1)).toMatchObject({ total: 4 });
  expect(search("the", new Map(), 1).found).toHaveLength(1);
  expect(search("  ")).toEqual({ found: [], total: 0 });
});
