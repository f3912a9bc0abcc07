/** Sparsity against what is lost: which SAEs form a line, and which lie outside the plot. */
import { group, max, min, quantile } from "d3-array";

/** A point of the plot. `error` is half of the 95 % interval, null where it wasn't measured. */
export interface Point {
  name: string;
  run: string;
  architecture: string;
  features: number;
  target: string | null;
  x: number;
  y: number;
  xError: number | null;
  yError: number | null;
}

export interface Family<P extends Point = Point> {
  key: string;
  architecture: string;
  /** From the sparsest to the densest. */
  points: P[];
}

/**
 * The points that one line joins: of one run, architecture and width. SAEs of other runs saw other
 * numbers of tokens and those of other widths are other trade-offs, so a line through them would
 * say what isn't so.
 */
export function families<P extends Point>(points: readonly P[]): Family<P>[] {
  const groups = group(points, (p) =>
    [p.run, p.architecture, p.features, p.target ?? ""].join("\n"),
  );
  return [...groups].map(([key, members]) => ({
    key,
    architecture: members[0]?.architecture ?? "",
    points: members.toSorted((a, b) => a.x - b.x || a.y - b.y),
  }));
}

export interface Extent {
  low: number;
  high: number;
}

/**
 * What an axis covers: the middle of the values, by Tukey's fences (1.5 interquartile ranges
 * outside the quartiles, Exploratory Data Analysis 1977), so that one failed SAE doesn't press all
 * others into a corner; `least` stays inside in any case. Fewer than five values are all shown.
 */
export function middle(values: readonly number[], least: number): Extent {
  const low = min(values) ?? 0;
  const high = max(values) ?? 1;
  if (values.length < 5) return { low, high };
  const first = quantile(values, 0.25) ?? low;
  const third = quantile(values, 0.75) ?? high;
  const reach = Math.max(1.5 * (third - first), least);
  const inside = values.filter((value) => value >= first - reach && value <= third + reach);
  return { low: min(inside) ?? low, high: max(inside) ?? high };
}

/** An extent with air on both sides: `share` of its length, or `least` where that is more. */
export function widened({ low, high }: Extent, share: number, least: number): Extent {
  const margin = Math.max(least, (high - low) * share);
  return { low: low - margin, high: high + margin };
}

export const holds = ({ low, high }: Extent, value: number): boolean =>
  value >= low && value <= high;

/** Points inside both extents, and those outside, which stand at the edge with their figures. */
export function split<P extends Point>(
  points: readonly P[],
  x: Extent,
  y: Extent,
): { inside: P[]; outside: P[] } {
  const isInside = (p: P) => holds(x, p.x) && holds(y, p.y);
  return { inside: points.filter(isInside), outside: points.filter((p) => !isInside(p)) };
}

/** Radius by width, in pixels: area grows with the number of features, within what can be read. */
export function radius(features: number, all: readonly number[]): number {
  const least = Math.log2(Math.max(min(all) ?? 1, 1));
  const most = Math.log2(Math.max(max(all) ?? 1, 1));
  if (most === least) return 5;
  return Math.sqrt(12 + ((Math.log2(Math.max(features, 1)) - least) / (most - least)) * 46);
}

/** Values that are at least `gap` apart, as near as that allows to where they were, in their order. */
export function spread(values: readonly number[], gap: number, extent: Extent): number[] {
  const order = values.map((_, i) => i).toSorted((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const placed = order.map((i) => values[i] ?? 0);
  for (let i = 1; i < placed.length; i++) {
    placed[i] = Math.max(placed[i] ?? 0, (placed[i - 1] ?? 0) + gap);
  }
  let bound = extent.high;
  for (let i = placed.length - 1; i >= 0; i--) {
    placed[i] = Math.min(placed[i] ?? 0, bound);
    bound = (placed[i] ?? 0) - gap;
  }
  const result = Array.from(values);
  for (const [rank, i] of order.entries()) result[i] = placed[rank] ?? 0;
  return result;
}
