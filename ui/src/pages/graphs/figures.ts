/** What changes and edges are written as. */
import type { EdgeSplit } from "../../api/graphs";
import { figure } from "../../format";

/** +.94, −.16, +12.3 */
export function signed(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const text = size < 10 && size >= 0.005 ? size.toFixed(2).replace(/^0\./, ".") : figure(size);
  return `${value < 0 ? "−" : "+"}${text}`;
}

export interface SplitRow {
  layer: number;
  /** Heads with a part worth a line, the largest first. */
  heads: { head: number; part: number }[];
  /** What the heads without a line carry together. */
  rest: number;
  /** What goes past attention. */
  stream: number;
}

const HEADS = 4;

/** An edge's parts at each block: heads of at least a hundredth of the largest part, four at most. */
export function splitRows({ blocks }: Pick<EdgeSplit, "blocks">): SplitRow[] {
  const most = Math.max(...blocks.flatMap(({ heads, stream }) => [...heads, stream].map(Math.abs)), 0);
  return blocks.map(({ layer, heads, stream }) => {
    const ranked = heads.map((part, head) => ({ head, part })).toSorted((a, b) => Math.abs(b.part) - Math.abs(a.part));
    const shown = ranked.filter(({ part }) => Math.abs(part) >= most / 100 && part !== 0).slice(0, HEADS);
    const rest = ranked.filter((each) => !shown.includes(each)).reduce((sum, { part }) => sum + part, 0);
    return { layer, heads: shown, rest, stream };
  });
}
