/** A graph as the page works with it: nodes by number, edges between numbers. */
import type { EdgeColumns, GraphFacts, GraphNode } from "../../api/graphs";

/** The row of the tokens; layers are 0 and up, what the graph explains stands above them. */
export const TOKENS = -1;

export interface GraphEdge {
  source: number;
  target: number;
  /** What the source adds to the target, in the target's units. */
  weight: number;
}

export interface Graph {
  tokens: readonly string[];
  layers: number;
  nodes: readonly GraphNode[];
  edges: readonly GraphEdge[];
  /** By node, the sum of the sizes of its edges from below. */
  input: Float64Array;
}

export function graphOf(
  { tokens, layers }: Pick<GraphFacts, "tokens" | "layers">,
  nodes: readonly GraphNode[],
  columns: Pick<EdgeColumns, "source" | "target" | "weight">,
): Graph {
  const edges = columns.source.map((source, i) => ({
    source,
    target: columns.target[i] ?? 0,
    weight: columns.weight[i] ?? 0,
  }));
  const input = new Float64Array(nodes.length);
  for (const { target, weight } of edges) input[target] = (input[target] ?? 0) + Math.abs(weight);
  return { tokens, layers, nodes, edges, input };
}

/** Whether the graph explains it: it stands on top, and no threshold hides it. */
export const isTarget = ({ kind }: Pick<GraphNode, "kind">) => kind === "logit" || kind === "target";
