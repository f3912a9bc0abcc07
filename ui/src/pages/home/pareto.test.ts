import { expect, test } from "vitest";
import { families, middle, radius, split, spread, widened, type Point } from "./pareto";

const point = (name: string, x: number, y: number, more: Partial<Point> = {}): Point => ({
  name,
  run: "sweep",
  architecture: "topk",
  features: 2048,
  target: null,
  x,
  y,
  xError: null,
  yError: null,
  ...more,
});

test("a line joins one run, architecture, width and target alone, from sparse to dense", () => {
  const found = families([
    point("b", 32, 0.12),
    point("a", 8, 0.2),
    point("wide", 16, 0.15, { features: 8192 }),
    point("other run", 16, 0.16, { run: "other" }),
    point("relu", 40, 0.17, { architecture: "relu" }),
    point("skip", 16, 0.3, { target: "blocks.2.hook_mlp_out" }),
  ]);
  expect(found.map(({ points }) => points.map(({ name }) => name))).toEqual([
    ["a", "b"],
    ["wide"],
    ["other run"],
    ["relu"],
    ["skip"],
  ]);
});

test("an axis covers the middle of the data, and what fails doesn't stretch it", () => {
  const fvus = [0.09, 0.118, 0.121, 0.123, 0.124, 0.148, 0.154, 0.161, 0.168, 0.172, 0.2, 1.001];
  expect(middle(fvus, 0.1)).toEqual({ low: 0.09, high: 0.2 });
  expect(middle([0.1, 1], 0.1)).toEqual({ low: 0.1, high: 1 });
  expect(middle([], 1)).toEqual({ low: 0, high: 1 });
  // all of one L0 but one near by: nothing is far
  expect(middle([32, 32, 32, 32, 33], 2)).toEqual({ low: 32, high: 33 });
});

test("points outside the axes are told apart and none is lost", () => {
  const points = [point("in", 32, 0.1), point("above", 32, 0.9), point("left", 0.2, 0.1)];
  const { inside, outside } = split(points, { low: 8, high: 64 }, { low: 0.05, high: 0.2 });
  expect(inside.map(({ name }) => name)).toEqual(["in"]);
  expect(outside.map(({ name }) => name)).toEqual(["above", "left"]);
});

test("an extent of one value gets air", () => {
  expect(widened({ low: 3, high: 3 }, 0.1, 0.5)).toEqual({ low: 2.5, high: 3.5 });
  expect(widened({ low: 0, high: 10 }, 0.1, 0.5)).toEqual({ low: -1, high: 11 });
});

test("size grows with the width, and is even where all are of one width", () => {
  const all = [1024, 2048, 8192];
  expect(radius(1024, all)).toBeLessThan(radius(2048, all));
  expect(radius(2048, all)).toBeLessThan(radius(8192, all));
  expect(radius(2048, [2048, 2048])).toBe(5);
});

test("labels keep apart, in their order, inside the plot", () => {
  const placed = spread([10, 11, 12, 200], 12, { low: 0, high: 100 });
  const ordered = placed.toSorted((a, b) => a - b);
  expect(placed).toEqual(ordered);
  for (let i = 1; i < ordered.length; i++) {
    expect((ordered[i] ?? 0) - (ordered[i - 1] ?? 0)).toBeGreaterThanOrEqual(12);
  }
  expect(Math.max(...placed)).toBeLessThanOrEqual(100);
});
