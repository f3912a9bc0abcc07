import { useQuery } from "@tanstack/react-query";
import { jsonOf } from "../../api/client";
import { retry } from "../../api/queries";
import type { components } from "../../api/schema";
import type { Match } from "./matching";

type MatchedSAEs = components["schemas"]["MatchedSAEs"];

/** The two SAEs' features and their twins; null for a side that was analyzed before the other was there. */
export interface Pair {
  here: Match[] | null;
  there: Match[] | null;
}

export const usePair = (a: string | undefined, b: string | undefined) =>
  useQuery({
    queryKey: ["compare", a, b],
    queryFn: async ({ signal }): Promise<Pair> => {
      const found = await jsonOf<MatchedSAEs>(
        `/api/compare?${new URLSearchParams({ a: a ?? "", b: b ?? "" })}`,
        signal,
      );
      return { here: rows(found.a_in_b), there: rows(found.b_in_a) };
    },
    enabled: a !== undefined && b !== undefined,
    retry,
  });

function rows(columns: MatchedSAEs["a_in_b"]): Match[] | null {
  if (!columns) return null;
  return columns.feature.flatMap((feature, i) => {
    const cosine = columns.cosine[i] ?? null;
    if (cosine === null) return [];
    return [
      {
        feature,
        partner: columns.partner[i] ?? 0,
        cosine,
        correlation: columns.correlation[i] ?? null,
        mutual: columns.mutual[i] ?? false,
      },
    ];
  });
}
