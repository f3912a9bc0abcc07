/** Columns of known contents, for component tests. */
import type { Columns } from "../api/columns";
import { NO_TOKEN } from "./columns";

export function madeUpColumns(rows: number, changes: Partial<Columns> = {}): Columns {
  const numbers = (make: (row: number) => number) => Float32Array.from({ length: rows }, (_, row) => make(row));
  const tokens = (width: number, make: (row: number, place: number) => number) =>
    Uint32Array.from({ length: rows * width }, (_, i) => make(Math.floor(i / width), i % width));
  return {
    analysis: "a",
    vocabulary: "v",
    tokensAnalyzed: 10_000,
    first: 0,
    rows,
    firings: Uint32Array.from({ length: rows }, (_, row) => (row * 7919) % 2000),
    contexts: Uint32Array.from({ length: rows }, (_, row) => row % 50),
    maximum: numbers((row) => ((row * 104_729) % 1000) / 10),
    mean: numbers((row) => ((row * 31) % 100) / 10),
    labelToken: tokens(3, (row, place) => (place === 2 ? NO_TOKEN : (row + place) % 40)),
    labelShare: Float32Array.from({ length: rows * 3 }, (_, i) => [0.5, 0.25, Number.NaN][i % 3] ?? 0),
    firesOn: tokens(5, (row, place) => (row + place) % 40),
    promotes: tokens(5, (row, place) => (row * 3 + place) % 40),
    histogram: new Uint8Array(rows * 32).fill(9),
    twinSaes: ["other"],
    twinSae: undefined,
    twinFeature: undefined,
    twinCosine: numbers((row) => (row % 3 === 0 ? Number.NaN : (row % 100) / 100)),
    stability: undefined,
    outputScore: undefined,
    ...changes,
  };
}
