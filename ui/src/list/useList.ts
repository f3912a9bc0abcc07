/** The list of features that an address names, for the pages that show it or walk it. */
import { useDeferredValue, useMemo } from "react";
import { useSearchParams } from "react-router";
import type { Columns } from "../api/columns";
import { useColumns, useExplanations, useList as useListOfFeatures, useNotes, useVocabulary } from "../api/queries";
import type { LabelFacts } from "../components/Label";
import { NO_TOKEN } from "./columns";
import { select, type Beside, type Selection } from "./select";
import { readList, writeList, type ListState } from "./state";

export interface FeatureList {
  columns: Columns;
  state: ListState;
  selection: Selection;
  label: (row: number) => LabelFacts;
  /** A token's text; its number where the vocabulary is not here yet. */
  token: (id: number) => string;
}

/** All of an SAE's features by what the address says; `error` where they can't be had. */
export function useFeatureList(name: string) {
  const columns = useColumns(name);
  const vocabulary = useVocabulary(columns.data?.vocabulary);
  const explanations = useExplanations(name);
  const [parameters] = useSearchParams();
  const key = writeList(readList(parameters)).toString();
  const state = useMemo(() => readList(new URLSearchParams(key)), [key]);
  const listed = useListOfFeatures(state.list);
  const notes = useNotes(name, state.noted).data;
  const said = explanations.data;
  // A brush moves faster than a hundred thousand features can be drawn: the last place counts.
  const wanted = useDeferredValue(state);
  const strings = vocabulary.data;

  const facts = useMemo(() => {
    if (columns.data === undefined) return undefined;
    const own = columns.data;
    const token = (id: number) => strings?.[id] ?? `[${id}]`;
    return { columns: own, token, label: (row: number) => labelOf(own, row, token, said?.get(own.first + row)) };
  }, [columns.data, strings, said]);

  const selection = useMemo(() => {
    if (facts === undefined) return undefined;
    const beside: Beside = {
      idsOf: (text) => idsOf(strings ?? [], text),
      words: (row) => {
        const { said: words, tokens } = facts.label(row);
        return `${words ?? ""} ${tokens.join(" ")}`.toLowerCase();
      },
      explained: new Set(said?.keys()),
      noted: new Set(notes?.keys()),
      listed: listed.data && new Set(listed.data.filter((entry) => entry.sae === name).map((entry) => entry.feature)),
    };
    return select(facts.columns, wanted, beside);
  }, [facts, wanted, strings, said, notes, listed.data, name]);

  const list: FeatureList | undefined = facts && selection && { ...facts, state, selection };
  return { list, error: columns.error ?? vocabulary.error ?? undefined, refetch: columns.refetch };
}

function labelOf(columns: Columns, row: number, token: (id: number) => string, said?: string): LabelFacts {
  const width = columns.labelToken.length / Math.max(columns.rows, 1);
  const tokens: string[] = [];
  const shares: number[] = [];
  for (let place = row * width; place < (row + 1) * width; place++) {
    const id = columns.labelToken[place] ?? NO_TOKEN;
    if (id === NO_TOKEN) break;
    tokens.push(token(id));
    shares.push(columns.labelShare[place] ?? Number.NaN);
  }
  return { said: said ?? null, tokens, shares };
}

/** Tokens that are written so, with ␣ and ↵ for spaces and line breaks, edges counting or not. */
function idsOf(vocabulary: readonly string[], text: string): number[] {
  const wanted = text.replaceAll("␣", " ").replaceAll("↵", "\n");
  const exact = wanted !== wanted.trim();
  const found: number[] = [];
  for (const [id, token] of vocabulary.entries()) {
    if (token === wanted || (!exact && token.trim() === wanted)) found.push(id);
  }
  return found;
}
