/** Features of two SAEs beside each other: who has a partner, and how good it is. */

/** A feature of one SAE and the feature of the other that is most like it. */
export interface Match {
  feature: number;
  partner: number;
  /** Of the decoder directions. */
  cosine: number;
  /** Of the activations, on the tokens that the analysis compared; null where not measured. */
  correlation: number | null;
  /** The partner's best partner is this very feature. */
  mutual: boolean;
}

export interface Counts {
  matched: number;
  weaker: number;
  onlyHere: number;
  /** Matched ones whose activations agree as well. */
  twins: number;
}

export type Side = "matched" | "weaker" | "only";

/** Matched: mutual, and the cosine reaches the threshold. Weaker: mutual below it. */
export function side(match: Match, threshold: number): Side {
  if (!match.mutual) return "only";
  return match.cosine >= threshold ? "matched" : "weaker";
}

export function counts(matches: readonly Match[], features: number, threshold: number): Counts {
  let matched = 0;
  let weaker = 0;
  let twins = 0;
  for (const match of matches) {
    const where = side(match, threshold);
    if (where === "weaker") weaker++;
    if (where !== "matched") continue;
    matched++;
    if (match.correlation !== null && match.correlation >= threshold) twins++;
  }
  return { matched, weaker, onlyHere: features - matched - weaker, twins };
}

/** Bars of a histogram over [0, 1]: how many values fall into each of `bins`, 1 into the last. */
export function histogram(values: Iterable<number>, bins: number): number[] {
  const found = Array.from({ length: bins }, () => 0);
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    const bin = Math.min(Math.max(Math.floor(value * bins), 0), bins - 1);
    found[bin] = (found[bin] ?? 0) + 1;
  }
  return found;
}

export function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  const ordered = values.toSorted((a, b) => a - b);
  const half = ordered.length >> 1;
  const upper = ordered[half] ?? 0;
  return ordered.length % 2 ? upper : (upper + (ordered[half - 1] ?? 0)) / 2;
}
