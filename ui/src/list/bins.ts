/** A column as a histogram of features. */
import type { Columns } from "../api/columns";
import type { NumberColumn } from "./columns";

export interface Binned {
  counts: number[];
  /** One more than there are counts. */
  edges: number[];
  /** Features without a value. */
  missing: number;
}

const BINS = 40;

/** Equal bins from the smallest to the largest value; on a logarithmic scale those above 0. */
export function binned(columns: Columns, column: NumberColumn): Binned {
  const values = column.values(columns);
  const scaled = (value: number) => (column.logarithmic ? Math.log10(value) : value);
  let [low, high, missing] = [Infinity, -Infinity, 0];
  for (const value of values) {
    const at = scaled(value);
    if (!Number.isFinite(at)) missing++;
    else {
      low = Math.min(low, at);
      high = Math.max(high, at);
    }
  }
  if (low > high) return { counts: [], edges: [], missing };
  const width = (high - low) / BINS || 1;
  const counts = Array.from({ length: BINS }, () => 0);
  for (const value of values) {
    const at = scaled(value);
    if (!Number.isFinite(at)) continue;
    const bin = Math.min(Math.floor((at - low) / width), BINS - 1);
    counts[bin] = (counts[bin] ?? 0) + 1;
  }
  const edges = Array.from({ length: BINS + 1 }, (_, i) => {
    const edge = low + i * width;
    // Rounding must not leave the outermost values outside.
    const padded = i === 0 ? edge - 1e-6 * Math.abs(edge) : i === BINS ? edge + 1e-6 * Math.abs(edge) : edge;
    return column.logarithmic ? 10 ** padded : padded;
  });
  return { counts, edges, missing };
}
