import { useQueries, useQuery } from "@tanstack/react-query";
import { getAbout, getSAEs, getUnreadable } from "../../api/client";
import { getMetrics } from "../../api/model";
import type { SAESummary } from "../../api/client";
import type { Curve } from "./TrainingCurves";

/** An empty database is looked at again by itself, so that what is analyzed appears. */
const EMPTY_AGAIN = 5000;

export function useHome() {
  const about = useQuery({ queryKey: ["about"], queryFn: ({ signal }) => getAbout(signal) });
  const saes = useQuery({
    queryKey: ["saes"],
    queryFn: ({ signal }) => getSAEs(signal),
    refetchInterval: ({ state }) => (state.data?.length === 0 ? EMPTY_AGAIN : false),
  });
  const unreadable = useQuery({
    queryKey: ["unreadable"],
    queryFn: ({ signal }) => getUnreadable(signal),
  });
  return { about, saes, unreadable };
}

export type Series = "fvu" | "l0" | "dead_fraction";

/** What was measured while the SAEs were trained; those without measurements are left out. */
export function useCurves(saes: readonly SAESummary[], series: Series): Curve[] {
  return useQueries({
    queries: saes.map(({ name, analysis }) => ({
      queryKey: ["metrics", name, analysis],
      queryFn: ({ signal }: { signal: AbortSignal }) => getMetrics(name, signal),
      retry: false,
      staleTime: Infinity,
    })),
    combine: (answers) =>
      answers.flatMap(({ data }, i) => {
        const sae = saes[i];
        if (!data || !sae) return [];
        const tokens = data.series["tokens"] ?? [];
        const points = (data.series[series] ?? []).flatMap((value, at) => {
          const place = tokens[at] ?? null;
          return value === null || place === null ? [] : [{ tokens: place, value }];
        });
        return [{ name: sae.name, architecture: sae.architecture, points }];
      }),
  });
}
