/** Contexts as the rows of a table that is aligned at the strongest token. */
import type { ContextGroup, FeatureContext } from "../../api/contexts";

export type ContextSort = "value" | "left" | "right";

export interface ContextRow {
  context: FeatureContext;
  /** How many contexts look the same around their strongest token, this one among them. */
  times: number;
}

/** Tokens on each side that must be equal for two windows to be one. */
const SAME = 16;

/** Equal windows folded into the strongest of them, then sorted. */
export function contextRows(group: ContextGroup, sort: ContextSort, token: (id: number) => string): ContextRow[] {
  const rows = new Map<string, ContextRow>();
  for (const context of group.contexts) {
    const { tokenIds, position } = context;
    const before = Math.min(position, SAME);
    const window = tokenIds.subarray(position - before, position + SAME + 1);
    const key = `${before} ${window.join(" ")}`;
    const same = rows.get(key);
    if (same) same.times++;
    else rows.set(key, { context, times: 1 });
  }
  const found = [...rows.values()];
  if (sort === "value") return found;
  const word = ({ context }: ContextRow) => {
    const at = context.tokenIds[context.position + (sort === "left" ? -1 : 1)];
    return at === undefined ? "" : token(at).trim().toLowerCase();
  };
  const words = new Map(found.map((row) => [row, word(row)]));
  return found.toSorted((a, b) => {
    const [one, two] = [words.get(a) ?? "", words.get(b) ?? ""];
    return one < two ? -1 : one > two ? 1 : 0;
  });
}

/** Share of a feature's firings that are weaker, from its histogram; null where it never fired. */
export function shareBelow({ counts, upper }: { counts: readonly number[]; upper: number }, value: number): number | null {
  const total = counts.reduce((sum, each) => sum + each, 0);
  if (total === 0 || !(upper > 0)) return null;
  const place = (value / upper) * counts.length;
  let below = 0;
  for (const [bin, each] of counts.entries()) below += each * Math.min(Math.max(place - bin, 0), 1);
  return below / total;
}

/** Places of the largest changes, whichever way; those that are not known or 0 are left out. */
export function mostChanged(changes: readonly (number | null)[], most: number): number[] {
  const size = (place: number) => Math.abs(changes[place] ?? 0);
  return Array.from(changes.keys())
    .filter((place) => size(place) > 0)
    .toSorted((a, b) => size(b) - size(a) || a - b)
    .slice(0, most);
}
