/** What is steered, in the address after `#` (see prompt/state.ts: a prompt is sent in no address). */
import { natural } from "../prompt/state";
import { METHODS, MOST_FEATURES, type Edited } from "./grid";

export const WHERE = ["all", "prompt", "generated"] as const;
export type Where = (typeof WHERE)[number];

export interface SteerState {
  prompt: string;
  edited: Edited[];
  tokens: number;
  temperature: number;
  seed: number;
  /** Which tokens are edited. */
  where: Where;
  /** Cells that are shown below, by `row.column`. */
  chosen: string[];
}

export const INITIAL: SteerState = {
  prompt: "",
  edited: [],
  tokens: 18,
  temperature: 0,
  seed: 0,
  where: "all",
  chosen: [],
};

export const MOST_CHOSEN = 4;
const MOST_TOKENS = 256;

export function readSteer(hash: string): SteerState {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const sae = fields.get("sae");
  const feature = natural(fields.get("feature"));
  const first: Edited[] =
    sae !== null && feature !== null ? [{ sae, feature, method: "add", value: null }] : [];
  const edited = fields.getAll("edit").flatMap(readEdit);
  const temperature = Number(fields.get("temperature") ?? 0);
  const tokens = natural(fields.get("tokens")) ?? INITIAL.tokens;
  return {
    prompt: fields.get("prompt") ?? "",
    edited: [...first, ...edited].slice(0, MOST_FEATURES),
    tokens: Math.min(Math.max(tokens, 1), MOST_TOKENS),
    temperature: temperature >= 0 && temperature <= 100 ? temperature : 0,
    seed: natural(fields.get("seed")) ?? 0,
    where: WHERE.find((each) => each === fields.get("where")) ?? "all",
    chosen: fields.getAll("cell").filter((cell) => /^\d\.\d$/.test(cell)).slice(0, MOST_CHOSEN),
  };
}

export function writeSteer(state: SteerState): string {
  const fields = new URLSearchParams();
  if (state.prompt) fields.set("prompt", state.prompt);
  for (const { sae, feature, method, value } of state.edited) {
    fields.append("edit", [sae, feature, method, ...(value === null ? [] : [value])].join("~"));
  }
  for (const key of ["tokens", "temperature", "seed", "where"] as const) {
    if (state[key] !== INITIAL[key]) fields.set(key, String(state[key]));
  }
  for (const cell of state.chosen) fields.append("cell", cell);
  const written = fields.toString();
  return written && `#${written}`;
}

/** `saes:topk-32~382~add~4.5` */
function readEdit(text: string): Edited[] {
  const [sae, feature, method, value] = text.split("~");
  const index = natural(feature ?? null);
  const known = METHODS.find((each) => each === method);
  if (!sae || index === null || known === undefined) return [];
  const own = value === undefined || value === "" ? null : Number(value);
  if (own !== null && !(Math.abs(own) <= 1e6)) return [];
  return [{ sae, feature: index, method: known, value: own }];
}

/** Cells with one more, or without it; a fifth takes the place of the first. */
export function withCell(chosen: readonly string[], cell: string): string[] {
  return chosen.includes(cell)
    ? chosen.filter((other) => other !== cell)
    : [...chosen, cell].slice(-MOST_CHOSEN);
}
