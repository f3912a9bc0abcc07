/** Features by what they are called, fire on or promote: found in the columns, nothing is asked. */
import type { Columns } from "../../api/columns";
import { tokensOf } from "../../list/columns";

export type Why = "label" | "fires on" | "promotes";

export interface Found {
  index: number;
  why: Why;
}

/**
 * The features whose label, tokens fired on or promoted tokens hold the text, whatever its case and
 * the space before it; labels first, then by maximum. At most `limit`, and how many there are.
 */
export function findFeatures(
  query: string,
  columns: Columns,
  vocabulary: readonly string[],
  said: ReadonlyMap<number, string>,
  limit: number,
): { found: Found[]; total: number } {
  const wanted = query.trim().toLowerCase();
  if (wanted === "") return { found: [], total: 0 };
  const ids = new Set<number>();
  for (const [id, token] of vocabulary.entries()) {
    if (token.trim().toLowerCase() === wanted) ids.add(id);
  }
  const groups: Record<Why, number[]> = { label: [], "fires on": [], promotes: [] };
  for (let row = 0; row < columns.rows; row++) {
    const holds = (column: Uint32Array) => tokensOf(column, columns, row).some((id) => ids.has(id));
    const own = said.get(columns.first + row)?.toLowerCase().includes(wanted) ?? false;
    if (own || holds(columns.labelToken)) groups.label.push(row);
    else if (holds(columns.firesOn)) groups["fires on"].push(row);
    else if (holds(columns.promotes)) groups.promotes.push(row);
  }
  const byMaximum = (a: number, b: number) => (columns.maximum[b] ?? 0) - (columns.maximum[a] ?? 0);
  const all = (Object.keys(groups) as Why[]).flatMap((why) =>
    groups[why].toSorted(byMaximum).map((row) => ({ index: columns.first + row, why })),
  );
  return { found: all.slice(0, limit), total: all.length };
}
