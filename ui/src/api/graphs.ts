/** Attribution graphs: what the server keeps of them, and what is asked of the model about one. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { events } from "../pages/steer/events";
import { backend, jsonOf, sent, streamOf } from "./client";
import { retry } from "./queries";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type GraphSummary = Schemas["GraphSummary"];
/** A graph without its nodes and edges. */
export type GraphFacts = Schemas["Graph"];
export type GraphNode = Schemas["GraphNode"];
export type EdgeColumns = Schemas["GraphEdges"];
export type EdgeSplit = Schemas["EdgeSplit"];
export type NamedGroup = Schemas["GraphGroup"];
export type Agreement = Schemas["Agreement"];
export type Verification = Schemas["GraphVerification"];
export type TranscoderSet = Schemas["TranscoderSet"];
export type FeatureInGraphs = Schemas["FeatureInGraphs"];

export type Change = Schemas["NodeChange"];
export type Intervention = Schemas["Intervention"];
/** What is done to a node or to a group of them. */
export type GraphEdit = ({ node: string } | { group: string }) & { factor: number };

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
    queryFn: async ({ signal }) => (await jsonOf<Schemas["GraphNodes"]>(`${pathOf(name)}/nodes?graph=${graph}`, signal)).nodes,
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
    queryFn: ({ signal }) => jsonOf<FeatureInGraphs[]>(`/api/saes/${sae}/features/${index}/graphs`, signal),
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
  const { body: answer } = await streamOf("/api/graphs", body, signal);
  if (answer) yield* events<TraceEvent>(answer);
}
