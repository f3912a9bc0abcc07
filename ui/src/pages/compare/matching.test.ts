import { expect, test } from "vitest";
import { counts, histogram, median, side, type Match } from "./matching";

const match = (cosine: number, mutual: boolean, correlation: number | null): Match => ({
  feature: 0,
  partner: 0,
  cosine,
  correlation,
  mutual,
});

test("matched is mutual and reaches the threshold; the border belongs to it", () => {
  expect(side(match(0.7, true, 0.9), 0.7)).toBe("matched");
  expect(side(match(0.69, true, 0.9), 0.7)).toBe("weaker");
  expect(side(match(0.99, false, 0.9), 0.7)).toBe("only");
});

test("the sides add up to all features, those without any partner too", () => {
  const found = [match(0.9, true, 0.8), match(0.8, true, 0.1), match(0.5, true, null), match(1, false, 1)];
  expect(counts(found, 10, 0.7)).toEqual({ matched: 2, weaker: 1, onlyHere: 7, twins: 1 });
});

test("a cosine of 1 falls into the last bar and one below 0 into the first", () => {
  expect(histogram([0, 0.49, 0.5, 1, -0.2, Number.NaN], 2)).toEqual([3, 2]);
});

test("the median of none is null", () => {
  expect([median([]), median([3, 1]), median([5, 1, 3])]).toEqual([null, 2, 3]);
});
