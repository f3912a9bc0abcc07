/** What pages ask the server for, kept by what it is of; what is being replaced is asked for again. */
import { keepPreviousData, useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import { answerOf, getAbout, getSAE, jsonOf, sent, ServerError, type Feature } from "./client";
import { readColumns, type Columns } from "./columns";
import { readContexts, type ContextGroup } from "./contexts";
import type { components } from "./schema";

const NEVER_CHANGES = { staleTime: Infinity, gcTime: 10 * 60_000 };

/** A replacement takes a moment; a model that is busy too. All else is told at once. */
export function retry(failures: number, error: Error): boolean {
  return failures < 6 && error instanceof ServerError && [410, 503].includes(error.status) && !/model/.test(error.message);
}

const bytesOf = async (path: string, signal?: AbortSignal) => (await answerOf(path, signal)).arrayBuffer();

export const useAbout = () => useQuery({ queryKey: ["about"], queryFn: ({ signal }) => getAbout(signal) });

export const useSAE = (name: string) =>
  useQuery({ queryKey: ["sae", name], queryFn: ({ signal }) => getSAE(name, signal), retry });

export const columnsQuery = (name: string) => ({
  queryKey: ["columns", name],
  queryFn: async ({ signal }: { signal: AbortSignal }) => readColumns(await bytesOf(`/api/saes/${name}/columns`, signal)),
  retry,
  staleTime: 60_000,
  // Another answer with the same analysis is the same columns: what was worked out stays.
  structuralSharing: (old: unknown, next: unknown) =>
    (old as Columns | undefined)?.analysis === (next as Columns).analysis ? old : next,
});

export const useColumns = (name: string, enabled = true) => useQuery({ ...columnsQuery(name), enabled });

export const useVocabulary = (key: string | undefined) =>
  useQuery({
    queryKey: ["vocabulary", key],
    queryFn: ({ signal }) => jsonOf<string[]>(`/api/vocabularies/${key}`, signal),
    enabled: key !== undefined,
    ...NEVER_CHANGES,
  });

/** By an analysis that is gone: the columns are asked for again, and with them comes the new one. */
async function ofAnalysis<T>(client: QueryClient, name: string, asked: Promise<T>): Promise<T> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof ServerError && error.status === 410) {
      void client.invalidateQueries({ queryKey: ["columns", name] });
      void client.invalidateQueries({ queryKey: ["sae", name] });
    }
    throw error;
  }
}

export const contextsQuery = (client: QueryClient, name: string, analysis: string, index: number, group: string) => ({
  queryKey: ["contexts", name, analysis, index, group],
  queryFn: ({ signal }: { signal: AbortSignal }): Promise<ContextGroup> =>
    ofAnalysis(
      client,
      name,
      bytesOf(`/api/saes/${name}/features/${index}/contexts?group=${group}&analysis=${analysis}`, signal).then(readContexts),
    ),
  retry,
  ...NEVER_CHANGES,
});

export function useContexts(name: string, analysis: string | undefined, index: number, group: string) {
  const client = useQueryClient();
  return useQuery({
    ...contextsQuery(client, name, analysis ?? "", index, group),
    enabled: analysis !== undefined,
    placeholderData: keepPreviousData,
  });
}

interface SaidOfFeatures {
  explanations: { feature: number; text: string; author: string }[];
}

/** What is said of an SAE's features now, by feature. */
export const useExplanations = (name: string, enabled = true) =>
  useQuery({
    enabled,
    queryKey: ["explanations", name],
    queryFn: async ({ signal }) => {
      const { explanations } = await jsonOf<SaidOfFeatures>(`/api/saes/${name}/explanations`, signal);
      return new Map(explanations.map(({ feature, text }) => [feature, text]));
    },
    retry,
  });

type Schemas = components["schemas"];
export type Note = Schemas["Note"];
export type NotesFile = Schemas["NotesFile"];

const notesPath = (name: string) => `/api/saes/${name}/notes`;
const notePath = (name: string, index: number) => `/api/saes/${name}/features/${index}/note`;
const byFeature = ({ notes }: NotesFile) => new Map(notes.map(({ feature, text }) => [feature, text]));

/** The notes on an SAE's features, by feature. */
export const useNotes = (name: string, enabled = true) =>
  useQuery({
    enabled,
    queryKey: ["notes", name],
    queryFn: async ({ signal }) => byFeature(await jsonOf<NotesFile>(notesPath(name), signal)),
    retry,
  });

/** Keeps a note on a feature in place of the one that was read: another's change is refused. */
export function useKeepNote(name: string, index: number) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: async ({ text, seen }: { text: string; seen: string }) => {
      const there = await jsonOf<Note>(notePath(name, index));
      if (there.text !== seen) throw new ServerError(`it says by now: ${there.text}`, 409);
      return sent<Note>("PUT", notePath(name, index), { text, version: there.version });
    },
    onSettled: () => client.invalidateQueries({ queryKey: ["notes", name] }),
  });
}

/** Puts a file of notes in. */
export function useAddNotes(name: string) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (file: unknown) => sent<NotesFile>("POST", notesPath(name), file),
    onSuccess: (answer) => client.setQueryData(["notes", name], byFeature(answer)),
  });
}

export interface ListEntry {
  sae: string;
  feature: number;
  note?: string | null;
}

/** The features of somebody's list, by its id. */
export const useList = (id: string) =>
  useQuery({
    queryKey: ["list", id],
    queryFn: async ({ signal }) => (await jsonOf<{ features: ListEntry[] }>(`/api/lists/${id}`, signal)).features,
    enabled: id !== "",
  });

/** A feature with its strongest contexts: one answer, so that no page is half of another. */
export interface FeatureWithContexts {
  feature: Feature;
  strongest: ContextGroup;
}

export const featureQuery = (client: QueryClient, name: string, analysis: string, index: number) => ({
  queryKey: ["feature", name, analysis, index],
  queryFn: ({ signal }: { signal: AbortSignal }): Promise<FeatureWithContexts> => {
    const path = `/api/saes/${name}/features/${index}/contexts?group=top&page=true&analysis=${analysis}`;
    const both = bytesOf(path, signal).then((buffer) => {
      const strongest = readContexts(buffer);
      if (!strongest.page) throw new Error("the server's answer lacks the feature: is it of another version?");
      return { feature: strongest.page, strongest };
    });
    return ofAnalysis(client, name, both);
  },
  retry,
  ...NEVER_CHANGES,
});

/** The feature asked for; until it is here the one before, told by its own `index`. */
export function useFeature(name: string, analysis: string, index: number) {
  const client = useQueryClient();
  return useQuery({ ...featureQuery(client, name, analysis, index), placeholderData: keepPreviousData });
}

/** One context from its beginning to its end, with those before and after it. */
export function useWholeContext(name: string, analysis: string, index: number, context: number) {
  const client = useQueryClient();
  return useQuery({
    queryKey: ["context", name, analysis, index, context],
    queryFn: ({ signal }) =>
      ofAnalysis(
        client,
        name,
        bytesOf(`/api/saes/${name}/features/${index}/contexts/${context}?analysis=${analysis}`, signal).then(readContexts),
      ),
    retry,
    ...NEVER_CHANGES,
  });
}

/** What a feature of another SAE is called. */
export const useOtherFeature = (name: string, index: number) =>
  useQuery({
    queryKey: ["feature", name, "", index],
    queryFn: ({ signal }) => jsonOf<Feature>(`/api/saes/${name}/features/${index}`, signal),
    retry,
  });

export interface Explanations {
  current: string | null;
  versions: { text: string; author: string; by_model: boolean; created: string }[];
}

const explanationsPath = (name: string, index: number) => `/api/saes/${name}/features/${index}/explanations`;

/** What is said of a feature, with its history. */
export const useHistory = (name: string, index: number) =>
  useQuery({
    queryKey: ["history", name, index],
    queryFn: ({ signal }) => jsonOf<Explanations>(explanationsPath(name, index), signal),
  });

/** Says what a feature stands for. */
export function useSay(name: string, index: number) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (text: string) =>
      sent<Explanations>("PUT", explanationsPath(name, index), { text, author: "person" }),
    onSuccess: (answer) => {
      client.setQueryData(["history", name, index], answer);
      client.setQueryData<Map<number, string>>(["explanations", name], (old) => {
        const next = new Map(old);
        if (answer.current) next.set(index, answer.current);
        else next.delete(index);
        return next;
      });
    },
  });
}

export interface TextActivations {
  tokens: { token: string; special: boolean }[];
  chosen: { index: number; values: number[]; maximum: number; position: number }[];
}

/** A feature on somebody's own text. */
export const useTry = (name: string, index: number, text: string) =>
  useQuery({
    queryKey: ["try", name, index, text],
    queryFn: ({ signal }) =>
      sent<TextActivations>("POST", `/api/saes/${name}/activations`, { text, features: [index], limit: 1, per_token: 0 }, signal),
    enabled: text.trim() !== "",
    placeholderData: keepPreviousData,
    retry: false,
  });

/** A list of somebody's, as the server keeps it. */
export interface NamedList {
  id: string;
  /** The one that was read: a change of another one is refused, so that nobody's entries are lost. */
  version: number;
  name: string;
  features: ListEntry[];
}

export const useLists = (enabled = true) =>
  useQuery({ enabled, queryKey: ["lists"], queryFn: ({ signal }) => jsonOf<NamedList[]>("/api/lists", signal), retry });

/** Adds a feature to a list, or to a new one of that name. */
export function useAddToList() {
  const client = useQueryClient();
  return useMutation({
    mutationFn: ({ list, entry }: { list: NamedList | string; entry: ListEntry }) =>
      typeof list === "string"
        ? sent<NamedList>("POST", "/api/lists", { name: list, features: [entry] })
        : sent<NamedList>("PUT", `/api/lists/${list.id}`, { ...list, features: [...list.features, entry] }),
    // Refused too: somebody else has changed it, and the next try is of what it is now.
    onSettled: () => {
      void client.invalidateQueries({ queryKey: ["lists"] });
      void client.invalidateQueries({ queryKey: ["list"] });
    },
  });
}
