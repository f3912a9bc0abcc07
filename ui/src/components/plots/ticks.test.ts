import { expect, test } from "vitest";
import { logTicks } from "./ticks";

test("a wide range is marked at powers, fewer where there is little room", () => {
  expect(logTicks(1.5, 70, 2, 20)).toEqual([2, 4, 8, 16, 32, 64]);
  expect(logTicks(1.5, 70, 2, 3)).toEqual([4, 16, 64]);
  expect(logTicks(0.01, 10, 10, 10).map((tick) => tick.toPrecision(1))).toEqual([
    "0.01",
    "0.1",
    "1",
    "1e+1",
  ]);
});

test("a range with few powers is marked at round values", () => {
  expect(logTicks(30, 48, 2, 12)).toEqual([30, 35, 40, 45]);
  expect(logTicks(0.11, 0.31, 10, 8)).toEqual([0.15, 0.2, 0.25, 0.3]);
});
