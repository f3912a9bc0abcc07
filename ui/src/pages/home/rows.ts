/** The table of SAEs: what it is sorted by, what it is searched for, and which rows are marked. */

/** What the rows are compared in; null where it wasn't measured. */
export type Cell = string | number | null;

/** Sorted rows; what was not measured is last whichever way. Equal ones keep their order. */
export function sorted<Row>(
  rows: readonly Row[],
  cell: (row: Row) => Cell,
  descending: boolean,
): Row[] {
  return rows.toSorted((a, b) => {
    const [one, other] = [cell(a), cell(b)];
    if (one === null || other === null) return Number(one === null) - Number(other === null);
    const order =
      typeof one === "number" && typeof other === "number"
        ? one - other
        : String(one).localeCompare(String(other), "en", { numeric: true });
    return descending ? -order : order;
  });
}

/** Whether every word of the query is in one of the texts, whatever its case. */
export function matches(query: string, texts: readonly string[]): boolean {
  const all = texts.join("\n").toLowerCase();
  return query
    .toLowerCase()
    .split(/\s+/)
    .every((word) => all.includes(word));
}

/** Two to four can be compared; a fifth takes the place of the first that was marked. */
export const MOST_MARKED = 4;

export function marked(names: readonly string[], name: string): string[] {
  return names.includes(name)
    ? names.filter((other) => other !== name)
    : [...names, name].slice(-MOST_MARKED);
}

/** The settings of a run as one text to search: `k 32 lr 0.0003`. */
export function settings(config: Record<string, unknown>): string {
  return Object.entries(config)
    .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
    .map(([key, value]) => `${key} ${value}`)
    .join(" ");
}
