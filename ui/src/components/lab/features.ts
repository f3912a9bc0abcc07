/** What is known of an SAE's features without asking for each. */
import { useMemo } from "react";
import type { Columns } from "../../api/columns";
import { useColumns, useExplanations, useVocabulary } from "../../api/queries";
import { DENSE_FROM, tokensOf } from "../../list/columns";
import type { LabelFacts } from "../Label";

export interface FeatureFacts {
  columns: Columns;
  /** Null for a feature that wasn't analyzed or never fired. */
  maximum: (index: number) => number | null;
  density: (index: number) => number | null;
  isDense: (index: number) => boolean;
  label: (index: number) => LabelFacts | null;
}

export function useFeatures(sae: string | undefined): FeatureFacts | undefined {
  const columns = useColumns(sae ?? "", sae !== undefined).data;
  const vocabulary = useVocabulary(columns?.vocabulary).data;
  const said = useExplanations(sae ?? "", sae !== undefined).data;
  return useMemo(
    () => columns && factsOf(columns, vocabulary, said),
    [columns, vocabulary, said],
  );
}

export function factsOf(
  columns: Columns,
  vocabulary: readonly string[] | undefined,
  said: ReadonlyMap<number, string> | undefined,
): FeatureFacts {
  const row = (index: number) => {
    const place = index - columns.first;
    return place >= 0 && place < columns.rows ? place : null;
  };
  const density = (index: number) => {
    const place = row(index);
    return place === null ? null : (columns.firings[place] ?? 0) / Math.max(columns.tokensAnalyzed, 1);
  };
  return {
    columns,
    density,
    isDense: (index) => (density(index) ?? 0) > DENSE_FROM,
    maximum: (index) => {
      const place = row(index);
      return (place !== null && columns.maximum[place]) || null;
    },
    label: (index) => {
      const place = row(index);
      if (place === null || !vocabulary) return null;
      const tokens = tokensOf(columns.labelToken, columns, place);
      const width = columns.labelShare.length / Math.max(columns.rows, 1);
      return {
        said: said?.get(index),
        tokens: tokens.map((id) => vocabulary[id] ?? `#${id}`),
        shares: tokens.map((_, i) => columns.labelShare[place * width + i] ?? Number.NaN),
      };
    },
  };
}
