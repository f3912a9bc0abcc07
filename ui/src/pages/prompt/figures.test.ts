import { expect, test } from "vitest";
import { bits, mean, nats, unexpected } from "./figures";

test("bits keep three figures", () => {
  expect([17.918, 9.96, 5.324, 0, null].map(bits)).toEqual(["17.9", "10.0", "5.32", "0.00", "–"]);
});

test("a certain token has no color, and one that nobody expects has all of it", () => {
  expect(unexpected(0)).toBe(0);
  expect(unexpected(-6)).toBe(0.5);
  expect(unexpected(-40)).toBe(1);
  expect(unexpected(null)).toBe(0);
  expect(nats(-2.536)).toBe("−2.54");
});

test("a mean leaves out what isn't known, and is null of nothing", () => {
  expect(mean([0.5, null, 1])).toBe(0.75);
  expect(mean([null])).toBe(null);
});
