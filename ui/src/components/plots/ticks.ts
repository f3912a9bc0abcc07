/** Where a logarithmic axis is marked. */
import { ticks } from "d3-array";

/**
 * Powers of `base` between two positive values, at most `most` of them; round values at equal steps
 * where the range holds fewer than three.
 */
export function logTicks(low: number, high: number, base: number, most: number): number[] {
  const exponent = (value: number) => Math.log(value) / Math.log(base);
  const first = Math.ceil(exponent(low) - 1e-9);
  const last = Math.floor(exponent(high) + 1e-9);
  const every = Math.max(1, Math.ceil((last - first + 1) / most));
  const powers = Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => first + i)
    .filter((power) => power % every === 0)
    .map((power) => base ** power);
  return powers.length < 3 && every === 1 ? ticks(low, high, Math.min(4, most)) : powers;
}
