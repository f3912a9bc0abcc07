/** People's lists as the server keeps them. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { jsonOf, sent } from "../../api/client";
import type { ListEntry } from "../../api/queries";

export interface FeatureList {
  id: string;
  /** The one that was read: a change of another one is refused, so that nobody's entries are lost. */
  version: number;
  name: string;
  description: string;
  /** A text to try the features on. */
  text: string;
  features: ListEntry[];
}

export type Contents = Pick<FeatureList, "name" | "description" | "text" | "features">;

export const useAllLists = () =>
  useQuery({ queryKey: ["lists"], queryFn: ({ signal }) => jsonOf<FeatureList[]>("/api/lists", signal) });

export function useChanges() {
  const client = useQueryClient();
  const again = () => {
    void client.invalidateQueries({ queryKey: ["lists"] });
    void client.invalidateQueries({ queryKey: ["list"] });
  };
  return {
    add: useMutation({
      mutationFn: (contents: Partial<Contents>) => sent<FeatureList>("POST", "/api/lists", contents),
      onSettled: again,
    }),
    change: useMutation({
      mutationFn: ({ id, ...list }: FeatureList) =>
        sent<FeatureList>("PUT", `/api/lists/${id}`, { ...contentsOf(list), version: list.version }),
      onSettled: again,
    }),
    remove: useMutation({
      mutationFn: (id: string) => sent<FeatureList>("DELETE", `/api/lists/${id}`, undefined),
      onSettled: again,
    }),
  };
}

export const contentsOf = ({ name, description, text, features }: Contents): Contents => ({
  name,
  description,
  text,
  features,
});

const isEntry = ({ sae, feature }: ListEntry) => typeof sae === "string" && Number.isSafeInteger(feature);

/** What a file holds. Throws an error that says what is wrong with it. */
export function readFile(text: string): Contents {
  let found: unknown;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error("the file is no JSON");
  }
  const list = (typeof found === "object" && found !== null ? found : {}) as Partial<Contents>;
  if (typeof list.name !== "string" || !Array.isArray(list.features) || !list.features.every(isEntry)) {
    throw new Error("the file is no list: it needs a name, and features with sae and feature each");
  }
  return contentsOf({ name: list.name, description: list.description ?? "", text: list.text ?? "", features: list.features });
}
