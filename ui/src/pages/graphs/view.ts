/** What of a graph is shown: thresholds, what is hidden by hand, groups as one node each. */
import type { NamedGroup } from "../../api/graphs";
import { isTarget, type Graph } from "./graph";

export interface Choice {
  /** Share of the influence that the shown nodes hold; targets, tokens and pinned nodes stay. */
  keep: number;
  /** Edges of a smaller share of what drives their target are left out. */
  least: number;
  /** Whether what transcoders miss is shown. */
  errors: boolean;
  /** Ids of nodes. */
  hidden: readonly string[];
  pinned: readonly string[];
  groups: readonly NamedGroup[];
}

/** A node of the graph, or a group of them. */
export interface ShownNode {
  /** The node's id; `group:NAME` of a group. */
  key: string;
  /** Numbers of its nodes, the most influential first. */
  members: readonly number[];
  group: NamedGroup | null;
}

export interface ShownEdge {
  /** Numbers among the shown nodes. */
  source: number;
  target: number;
  weight: number;
  /** Of the sizes of all edges into the target. */
  share: number;
}

export interface Shown {
  nodes: ShownNode[];
  edges: ShownEdge[];
  /** How many are left out, by why. */
  hidden: { influence: number; errors: number; byHand: number; edges: number };
}

export const groupKey = (name: string) => `group:${name}`;

export function shown(graph: Graph, choice: Choice): Shown {
  const [hidden, pinned] = [new Set(choice.hidden), new Set(choice.pinned)];
  const left = { influence: 0, errors: 0, byHand: 0, edges: 0 };
  const grouped = new Map(choice.groups.flatMap((group) => group.nodes.map((id) => [id, group] as const)));
  const members = new Map<string, { members: number[]; group: NamedGroup | null }>();
  for (const [number, node] of graph.nodes.entries()) {
    const group = grouped.get(node.id) ?? null;
    const key = group ? groupKey(group.name) : node.id;
    if (hidden.has(node.id) || hidden.has(key)) left.byHand += 1;
    else if (!choice.errors && node.kind === "error") left.errors += 1;
    else if (!group && !isTarget(node) && node.kind !== "token" && !pinned.has(node.id) && (node.cumulative ?? 0) > choice.keep)
      left.influence += 1;
    else {
      const known = members.get(key);
      if (known) known.members.push(number);
      else members.set(key, { members: [number], group });
    }
  }
  const nodes = [...members].map(([key, each]) => ({
    key,
    group: each.group,
    members: each.members.toSorted((a, b) => influenceOrder(graph, a, b)),
  }));
  const edges = edgesAmong(graph, nodes);
  const kept = edges.filter(({ share }) => share >= choice.least);
  left.edges = edges.length - kept.length;
  return { nodes, edges: kept, hidden: left };
}

/** The most influential first; targets before all. */
export function influenceOrder({ nodes }: Graph, a: number, b: number): number {
  const [first, second] = [nodes[a], nodes[b]];
  return (
    (first?.cumulative ?? 0) - (second?.cumulative ?? 0) || (second?.probability ?? 0) - (first?.probability ?? 0) || a - b
  );
}

/** Edges added up between groups; what stays inside of one is not shown. */
function edgesAmong(graph: Graph, nodes: readonly ShownNode[]): ShownEdge[] {
  const place = new Map(nodes.flatMap(({ members }, number) => members.map((member) => [member, number] as const)));
  const inputs = nodes.map(({ members }) => members.reduce((sum, each) => sum + (graph.input[each] ?? 0), 0));
  const found = new Map<number, ShownEdge>();
  for (const edge of graph.edges) {
    const [source, target] = [place.get(edge.source), place.get(edge.target)];
    if (source === undefined || target === undefined || source === target) continue;
    const key = source * nodes.length + target;
    const known = found.get(key);
    if (known) known.weight += edge.weight;
    else found.set(key, { source, target, weight: edge.weight, share: 0 });
  }
  return [...found.values()].map((edge) => ({
    ...edge,
    share: Math.abs(edge.weight) / Math.max(inputs[edge.target] ?? 0, Number.MIN_VALUE),
  }));
}

/** Edges into a node and out of it, the strongest first. */
export function edgesOf({ edges }: Shown, node: number): { into: ShownEdge[]; out: ShownEdge[] } {
  const strongest = (a: ShownEdge, b: ShownEdge) => Math.abs(b.weight) - Math.abs(a.weight);
  return {
    into: edges.filter(({ target }) => target === node).toSorted(strongest),
    out: edges.filter(({ source }) => source === node).toSorted(strongest),
  };
}

export const DRAWN = 8;

/** What is drawn as lines: the strongest of the selected node each way, and all among pinned ones. */
export function drawnEdges(view: Shown, selected: number | null, pinned: ReadonlySet<string>): ShownEdge[] {
  const own = selected === null ? { into: [], out: [] } : edgesOf(view, selected);
  const isPinned = (number: number) => pinned.has(view.nodes[number]?.key ?? "");
  const among = view.edges.filter(({ source, target }) => isPinned(source) && isPinned(target));
  return [...new Set([...own.into.slice(0, DRAWN), ...own.out.slice(0, DRAWN), ...among])];
}
