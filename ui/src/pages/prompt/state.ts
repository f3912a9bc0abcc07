/**
 * What is looked at on the prompt page, in the address after `#`: a browser sends that part to no
 * server, so a text is in no log and has no limit of eight kilobytes.
 */

export const RANKS = ["surprise", "maximum", "sum", "share"] as const;
export type Rank = (typeof RANKS)[number];

export const COLORS = ["strongest", "feature", "log-probability"] as const;
export type Color = (typeof COLORS)[number];

export interface PromptState {
  saes: string[];
  texts: string[];
  rank: Rank;
  /** Whether features that fire on more than a tenth of all tokens are left out. */
  hideDense: boolean;
  /** The selected token of the first text, or null. */
  token: number | null;
  /** Rank what happens at the selected token alone. */
  onlyToken: boolean;
  color: Color;
  /** The feature that the text is colored by: number of the SAE above, and index. */
  feature: { sae: number; index: number } | null;
}

export const INITIAL: PromptState = {
  saes: [],
  texts: [],
  rank: "surprise",
  hideDense: true,
  token: null,
  onlyToken: false,
  color: "strongest",
  feature: null,
};

const MOST = 2;

export function readPrompt(hash: string): PromptState {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const feature = /^([01])\.(\d{1,9})$/.exec(fields.get("feature") ?? "");
  return {
    saes: [...new Set(fields.getAll("sae"))].slice(0, MOST),
    texts: fields.getAll("text").slice(0, MOST),
    rank: among(fields.get("rank"), RANKS, INITIAL.rank),
    hideDense: fields.get("dense") !== "shown",
    token: natural(fields.get("token")),
    onlyToken: fields.has("only"),
    color: among(fields.get("color"), COLORS, INITIAL.color),
    feature: feature ? { sae: Number(feature[1]), index: Number(feature[2]) } : null,
  };
}

export function writePrompt(state: PromptState): string {
  const fields = new URLSearchParams();
  for (const sae of state.saes) fields.append("sae", sae);
  for (const text of state.texts) fields.append("text", text);
  if (state.rank !== INITIAL.rank) fields.set("rank", state.rank);
  if (!state.hideDense) fields.set("dense", "shown");
  if (state.token !== null) fields.set("token", String(state.token));
  if (state.onlyToken) fields.set("only", "");
  if (state.color !== INITIAL.color) fields.set("color", state.color);
  if (state.feature) fields.set("feature", `${state.feature.sae}.${state.feature.index}`);
  const written = fields.toString();
  return written && `#${written}`;
}

const among = <T extends string>(value: string | null, allowed: readonly T[], otherwise: T): T =>
  allowed.find((each) => each === value) ?? otherwise;

/** A number of a token or feature out of an address: 0, 1, 2 …, or null. */
export function natural(text: string | null): number | null {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null;
}
