/** What is read off the server's answers on a text. */
import type { Activations, TextFeature } from "../../api/model";
import type { Rank } from "./state";

/** Bits of surprise as they are written: 17.9; below ten 5.32; null where it isn't known. */
export function bits(value: number | null): string {
  if (value === null) return "–";
  return value.toFixed(value >= 9.95 ? 1 : 2);
}

/** How unexpected a token is, from 0 (certain) to 1 (at most e⁻¹²): for its color. */
export function unexpected(logProbability: number | null): number {
  return logProbability === null ? 0 : Math.min(Math.abs(logProbability) / 12, 1);
}

/** −2.54, as nats. */
export function nats(logProbability: number | null): string {
  return logProbability === null ? "–" : logProbability.toFixed(2).replace("-", "−");
}

/** Features that fire anywhere on the text's own tokens, those that are hidden included. */
export const firing = ({ total, hidden }: Activations): number => total + hidden.dense;

/** The strongest activation at each token, of any feature. */
export const strongest = ({ per_token }: Activations): number[] =>
  per_token.map((features) => features[0]?.activation ?? 0);

/** What a feature is ranked by on the page, whatever the server ranked by. */
export function scoreTitle(rank: Rank): string {
  return { surprise: "bits", maximum: "max", sum: "sum", share: "share" }[rank];
}

/** Mean of what is not null; null without any. */
export function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) / known.length : null;
}

/** The feature of this index, among those that were asked for by index and those ranked. */
export function featureOf(found: Activations, index: number): TextFeature | undefined {
  return [...found.chosen, ...found.features].find((feature) => feature.index === index);
}
