/** Which edits are tried: a grid of features by strengths, all in one request. */
import type { AskedEdit } from "../../api/model";

export const METHODS = ["add", "set", "scale", "orthogonal"] as const;
export type Method = (typeof METHODS)[number];

/** A feature that is edited, and how. */
export interface Edited {
  sae: string;
  feature: number;
  method: Method;
  /** A strength of one's own beside the grid's; in activations, of scale and orthogonal a factor. */
  value: number | null;
}

/** A cell: one edit, the completion of which stands beside the default. */
export interface Cell {
  /** Number of its set of edits in the request. */
  set: number;
  row: number;
  column: number;
  title: string;
  edit: AskedEdit;
}

export interface Grid {
  columns: string[];
  cells: Cell[];
}

/** Multiples of the feature's maximum; for a factor the factors themselves. */
const TIMES = [0.5, 1, 2, 4] as const;
const FACTORS: Record<"scale" | "orthogonal", readonly number[]> = {
  scale: [-1, 0.5, 2, 4],
  orthogonal: [-1, 0, 2, 4],
};

export const isFactor = (method: Method): method is "scale" | "orthogonal" =>
  method === "scale" || method === "orthogonal";

/** What the server takes in one request. */
export const MOST_SETS = 40;
export const MOST_FEATURES = 6;

/** +9.14, ×2, =5.63 */
export function strength(method: string, value: number | null): string {
  if (method === "ablate" || value === null) return "ablate";
  const written = Number(value.toPrecision(3)).toString().replace("-", "−");
  if (method === "add") return value < 0 ? written : `+${written}`;
  return { set: "= ", scale: "× ", orthogonal: "⟂ × " }[method] + written;
}

/**
 * Every feature ablated, and edited in four strengths: of `add` and `set` .5, 1, 2 and 4 times the
 * feature's maximum. A strength of one's own is a fifth.
 *
 * maxima: by row, null where the feature's maximum isn't known (yet): nothing is tried then.
 */
export function grid(
  edited: readonly Edited[],
  maxima: readonly (number | null)[],
  positions: "all" | "prompt" | "generated" = "all",
): Grid {
  const cells: Cell[] = [];
  const own = edited.some(({ value }) => value !== null);
  const add = (row: number, column: number, edit: AskedEdit) =>
    cells.push({
      set: cells.length,
      row,
      column,
      title: strength(edit.method, edit.value ?? null),
      edit,
    });
  for (const [row, { sae, feature, method, value }] of edited.entries()) {
    const maximum = maxima[row] ?? null;
    if (maximum === null) continue;
    const all = { sae, feature, positions, special: false };
    add(row, 0, { ...all, method: "ablate", value: null });
    const values = isFactor(method) ? FACTORS[method] : TIMES.map((times) => times * maximum);
    for (const [i, each] of values.entries()) add(row, i + 1, { ...all, method, value: each });
    if (value !== null) add(row, values.length + 1, { ...all, method, value });
  }
  return { columns: columns(edited, own), cells: cells.slice(0, MOST_SETS) };
}

function columns(edited: readonly Edited[], own: boolean): string[] {
  const methods = new Set(edited.map(({ method }) => method));
  const [only] = methods.size === 1 ? [...methods] : [];
  const titles = TIMES.map((times, i) => {
    if (only === undefined) return `strength ${i + 1}`;
    if (isFactor(only)) return strength(only, FACTORS[only][i] ?? 0);
    return `${only} ${times === 0.5 ? ".5" : times} × max`;
  });
  return ["ablate", ...titles, ...(own ? ["own strength"] : [])];
}

/** Ablating, scaling and its kin do nothing to a feature that doesn't fire in the prompt. */
export const needsFiring = (method: string): boolean => method === "ablate" || method === "scale";
