/** What steering needs to know of the features: their maxima, and whether they fire in the prompt. */
import { useQueries } from "@tanstack/react-query";
import { getFeature } from "../../api/client";
import { getActivations } from "../../api/model";
import type { Edited } from "./grid";

export interface Facts {
  maximum: number | null;
  mean: number | null;
  error: Error | null;
}

/** By row. A maximum of 0, of a feature that never fired, gives no strengths to try: null. */
export function useFacts(edited: readonly Edited[]): Facts[] {
  return useQueries({
    queries: edited.map(({ sae, feature }) => ({
      queryKey: ["feature", sae, feature],
      queryFn: ({ signal }: { signal: AbortSignal }) => getFeature(sae, feature, signal),
      retry: false,
    })),
    combine: (answers) =>
      answers.map(({ data, error }) => ({
        maximum: data?.maximum ? data.maximum : null,
        mean: data?.mean ?? null,
        error: error ?? (data && !data.maximum ? new Error("It never fired, so there is no maximum to measure strengths by.") : null),
      })),
  });
}

/** By row: whether the feature is silent in a prompt; undefined while that isn't known. */
export function useSilent(edited: readonly Edited[], prompt: string, asks: boolean): (boolean | undefined)[] {
  return useQueries({
    queries: edited.map(({ sae, feature }) => {
      const body = { text: prompt, features: [feature], limit: 1, per_token: 0 };
      return {
        queryKey: ["activations", sae, body],
        queryFn: ({ signal }: { signal: AbortSignal }) => getActivations(sae, body, signal),
        enabled: asks && prompt !== "",
        retry: false,
      };
    }),
    combine: (answers) =>
      answers.map(({ data }) =>
        data?.chosen.every(({ values }) => values.every((value, i) => value === 0 || (data.tokens[i]?.special ?? false))),
      ),
  });
}
