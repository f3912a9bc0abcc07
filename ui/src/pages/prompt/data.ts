/** What the prompt page asks the server: each SAE of each text by itself. */
import { keepPreviousData, useQueries, useQuery, type UseQueryResult } from "@tanstack/react-query";
import { getActivations, type Activations } from "../../api/model";
import { featureOf } from "./figures";
import type { PromptState } from "./state";

/** More often than on this share of the tokens analyzed is dense. */
export const DENSE = 0.1;
const SHOWN = 60;
const PER_TOKEN = 20;

export interface Panel {
  sae: string;
  text: number;
  answer: UseQueryResult<Activations>;
}

/** The answers, by text and then by SAE. */
export function usePanels(state: PromptState, asks: boolean): Panel[] {
  const wanted = state.texts.flatMap((text, number) =>
    state.saes.map((sae) => ({ sae, text: number, prose: text })),
  );
  const answers = useQueries({
    queries: wanted.map(({ sae, text, prose }) => {
      const positions = text === 0 && state.onlyToken && state.token !== null ? [state.token] : null;
      const body = {
        text: prose,
        rank: state.rank,
        limit: SHOWN,
        per_token: PER_TOKEN,
        density_max: state.hideDense ? DENSE : null,
        positions,
      };
      return {
        queryKey: ["activations", sae, body] as const,
        queryFn: ({ signal }: { signal: AbortSignal }) => getActivations(sae, body, signal),
        enabled: asks && prose !== "",
        placeholderData: keepPreviousData<Activations>,
        retry: false,
      };
    }),
  });
  return wanted.map(({ sae, text }, i) => ({
    sae,
    text,
    answer: answers[i] as UseQueryResult<Activations>,
  }));
}

/** The activations of the feature that a text is colored by, wherever it is ranked. */
export function useColored(state: PromptState, panel: Panel | undefined): number[] | null {
  const { feature } = state;
  const found = panel?.answer.data;
  const ranked = found && feature ? featureOf(found, feature.index) : undefined;
  const body = {
    text: state.texts[panel?.text ?? 0] ?? "",
    features: feature ? [feature.index] : [],
    limit: 1,
    per_token: 0,
  };
  const asked = useQuery({
    queryKey: ["activations", panel?.sae, body],
    queryFn: ({ signal }) => getActivations(panel?.sae ?? "", body, signal),
    enabled: feature !== null && found !== undefined && ranked === undefined,
    retry: false,
  });
  if (feature === null || found === undefined) return null;
  return ranked?.values ?? asked.data?.chosen[0]?.values ?? null;
}
