import { expect, test } from "vitest";
import { activation, compact, count, figure, oneIn, percent, share, weight } from "./format";

const THIN = "\u202f";

test("a small value is never rounded to 0", () => {
  expect(figure(3.14e-5)).toBe("3.1·10⁻⁵");
  expect(percent(2e-8)).toBe(`2·10⁻⁶${THIN}%`);
  expect(percent(0.0042)).toBe(`0.42${THIN}%`);
  expect(activation(0.00421)).toBe("0.00421");
});

test("what was not measured is a dash, and so is what is not finite", () => {
  for (const write of [figure, share, percent]) {
    expect(write(null)).toBe("–");
    expect(write(Number.NaN)).toBe("–");
    expect(write(Infinity)).toBe("–");
  }
});

test("numbers have three figures and thin spaces between thousands", () => {
  expect(figure(5.634)).toBe("5.63");
  expect(figure(955)).toBe("955");
  expect(figure(-0.5)).toBe("−0.500");
  expect(figure(12_288)).toBe(`12${THIN}288`);
  expect(figure(0)).toBe("0");
  expect(count(1_953)).toBe(`1${THIN}953`);
  expect(compact(247_900)).toBe(`248${THIN}k`);
});

test("shares in columns drop their zero and keep their sign", () => {
  expect(share(0.42)).toBe(".42");
  expect(share(-0.071)).toBe("−.07");
  expect(share(1)).toBe("1.00");
  expect(weight(-1.481)).toBe("−1.48");
});

test("a density is one in so many", () => {
  expect(oneIn(955 / 247_900)).toBe("1 in 260");
  expect(oneIn(0)).toBe("never");
  expect(oneIn(0.8)).toBe(`80${THIN}%`);
});
