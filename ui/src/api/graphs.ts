/** Attribution graphs: what the server keeps of them, and what is asked of the model about one. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { events } from "../pages/steer/events";
import { backend, ServerError } from "./client";
import { jsonOf, retry, sent } from "./queries";

export interface GraphSummary {
  name: string;
  graph: string;
  prompt: string;
  model: string;
  created: string;
  tokens: number;
  features: number;
  edges: number;
  targets: string[];
  replacement_score: number | null;
  completeness_score: number | null;
  r_per_source: number | null;
}

/** Predicted against real changes; null where there is nothing to compare. */
export interface Agreement {
  r_per_source: number | null;
  r_pooled: number | null;
  slope: number | null;
  missed: number | null;
}

export interface Verification {
  ablations: number;
  direct: Agreement;
  total: Agreement;
  on_targets: Agreement;
  frozen_error: number | null;
  let_go: Record<string, Agreement>;
}

export interface Proof {
  completeness_error: number | null;
  replacement_score: number | null;
  completeness_score: number | null;
  features_active: number;
  features_followed: number;
  edges_left: number | null;
  verification: Verification | null;
}

export interface NamedGroup {
  name: string;
  /** Ids of its nodes. */
  nodes: string[];
}

export interface GraphFacts {
  name: string;
  /** Another one each time that a graph of this name is made. */
  graph: string;
  prompt: string;
  model: string;
  created: string;
  tokens: string[];
  special: boolean[];
  layers: number;
  transcoders: { layer: number; sae: string | null; analyzed: boolean }[];
  node_threshold: number;
  edge_threshold: number;
  nodes: number;
  edges: number;
  proof: Proof;
  version: number;
  groups: NamedGroup[];
}

export type NodeKind = "feature" | "error" | "token" | "logit" | "target";

export interface GraphNode {
  id: string;
  kind: NodeKind;
  /** Its block; −1 for a token, the number of layers for a logit. */
  layer: number;
  position: number;
  /** Of a feature: its transcoder and number. */
  sae: string | null;
  index: number | null;
  /** What the feature was said to be, or the text of a token or logit. */
  label: string | null;
  explained: boolean;
  /** Tokens that carry a feature's activation, where nobody said what it is. */
  label_tokens: string[];
  activation: number | null;
  /** Of the feature, on the analyzed tokens. */
  maximum: number | null;
  density: number | null;
  /** What the model has here: an activation, or a logit less the mean of all. */
  value: number | null;
  probability: number | null;
  influence: number | null;
  /** Share of all influence on the targets that this node and stronger ones hold; null of targets. */
  cumulative: number | null;
}

/** Edges as they travel: a column for each field, the strongest first. */
export interface EdgeColumns {
  total: number;
  source: number[];
  target: number[];
  weight: number[];
}

/** An edge at each block between its ends: what each head carries, and the stream past them. */
export interface EdgeSplit {
  weight: number;
  blocks: { layer: number; heads: number[]; stream: number }[];
}

export interface Change {
  node: string;
  before: number | null;
  real: number | null;
  direct: number | null;
  total: number | null;
}

export interface Intervention {
  targets: Change[];
  features: Change[];
  agreement: { direct: Agreement; total: Agreement; on_targets: Agreement };
  next_tokens: { id: number; token: string; before: number; after: number }[];
}

export type GraphEdit = ({ node: string } | { group: string }) & { factor: number };

export interface TranscoderSet {
  run: string;
  model: string;
  saes: string[];
  layers: number[];
}

export interface FeatureInGraph {
  name: string;
  graph: string;
  prompt: string;
  nodes: { id: string; position: number; token: string; activation: number | null; influence: number | null }[];
}

const NEVER_CHANGES = { staleTime: Infinity, gcTime: 10 * 60_000, retry };
const MOST_EDGES = 200_000;
const pathOf = (name: string) => `/api/graphs/${encodeURIComponent(name)}`;

export const exportPath = (name: string) => `${backend}${pathOf(name)}/export`;

export const useGraphs = () =>
  useQuery({ queryKey: ["graphs"], queryFn: ({ signal }) => jsonOf<GraphSummary[]>("/api/graphs", signal), retry });

export const useTranscoders = () =>
  useQuery({ queryKey: ["transcoders"], queryFn: ({ signal }) => jsonOf<TranscoderSet[]>("/api/transcoders", signal), retry });

export const useGraph = (name: string) =>
  useQuery({ queryKey: ["graph", name], queryFn: ({ signal }) => jsonOf<GraphFacts>(pathOf(name), signal), retry });

/** Its nodes as they are called today. */
export const useGraphNodes = (name: string, graph: string | undefined) =>
  useQuery({
    queryKey: ["graph", name, "nodes", graph],
    queryFn: async ({ signal }) => (await jsonOf<{ nodes: GraphNode[] }>(`${pathOf(name)}/nodes?graph=${graph}`, signal)).nodes,
    enabled: graph !== undefined,
    retry,
  });

/** All edges that are kept, or the strongest of very many. */
export const useGraphEdges = (name: string, graph: string | undefined) =>
  useQuery({
    queryKey: ["graph", name, "edges", graph],
    queryFn: ({ signal }) => jsonOf<EdgeColumns>(`${pathOf(name)}/edges?graph=${graph}&threshold=1&limit=${MOST_EDGES}`, signal),
    enabled: graph !== undefined,
    ...NEVER_CHANGES,
  });

/** Through which heads an edge runs; asks the model. */
export const useSplit = (name: string, graph: string, source: string, target: string) =>
  useQuery({
    queryKey: ["graph", name, "split", graph, source, target],
    queryFn: ({ signal }) =>
      jsonOf<EdgeSplit>(`${pathOf(name)}/split?${new URLSearchParams({ graph, source, target })}`, signal),
    ...NEVER_CHANGES,
    retry: false,
  });

export const useIntervention = (name: string, graph: string) =>
  useMutation({
    mutationFn: (edits: GraphEdit[]) => sent<Intervention>("POST", `${pathOf(name)}/interventions`, { graph, edits, limit: 12 }),
  });

/** Keeps a graph's groups: the whole list each time, of the version that was read. */
export function useSaveGroups({ name, graph, version }: Pick<GraphFacts, "name" | "graph" | "version">) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (groups: readonly NamedGroup[]) => sent<GraphFacts>("PUT", `${pathOf(name)}/groups`, { graph, version, groups }),
    onSuccess: (answer) => client.setQueryData(["graph", name], answer),
    // Refused: somebody else has changed them, and the next try is of what they are now.
    onError: () => void client.invalidateQueries({ queryKey: ["graph", name], exact: true }),
  });
}

export function useRemoveGraph() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ name, graph }: Pick<GraphSummary, "name" | "graph">) =>
      sent<GraphSummary>("DELETE", `${pathOf(name)}?graph=${graph}`, undefined),
    onSettled: () => client.invalidateQueries({ queryKey: ["graphs"] }),
  });
}

export const useGraphsOfFeature = (sae: string, index: number) =>
  useQuery({
    queryKey: ["graphs", sae, index],
    queryFn: ({ signal }) => jsonOf<FeatureInGraph[]>(`/api/saes/${sae}/features/${index}/graphs`, signal),
    retry,
  });

export interface TraceRequest {
  saes: string[];
  prompt: string;
  targets: string[];
  verify: number;
}

export type TraceEvent =
  | { event: "progress"; what: string; done: number; total: number | null; unit: string }
  | { event: "graph"; name: string; graph: string }
  | { event: "error"; detail: string };

/** Traces a prompt. Aborting the signal ends the work on the server too. */
export async function* traced(body: TraceRequest, signal: AbortSignal): AsyncGenerator<TraceEvent> {
  const response = await fetch(`${backend}/api/graphs`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok || !response.body) {
    const answer = (await response.json().catch(() => ({}))) as { detail?: string };
    throw new ServerError(answer.detail ?? `the server answered ${response.status}`, response.status);
  }
  yield* events<TraceEvent>(response.body);
}
