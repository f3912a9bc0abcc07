import { useQuery } from "@tanstack/react-query";
import { useDeferredValue } from "react";
import { useSearchParams } from "react-router";
import { getSAEs } from "../../api/client";
import { usePage } from "../../page";
import { Results } from "./Results";

/** What the search of the bar finds, all of it, under an address. */
export function SearchPage() {
  const [parameters, setParameters] = useSearchParams();
  const text = parameters.get("q") ?? "";
  const query = useDeferredValue(text.trim());
  const all = useQuery({ queryKey: ["saes"], queryFn: ({ signal }) => getSAEs(signal) }).data ?? [];
  const of = all.find(({ name }) => name === parameters.get("sae")) ?? all[0];
  usePage({ title: "search", crumbs: [{ label: "search" }], sae: of?.name });
  const change = (key: string, value: string) =>
    setParameters((before) => {
      const next = new URLSearchParams(before);
      next.set(key, value);
      return next;
    }, { replace: true });
  return (
    <div className="wrap search-page">
      <h1>Search</h1>
      <div className="chips">
        <input
          type="search"
          className="field"
          aria-label="Feature, token, label, SAE or list"
          placeholder="feature, token, label, SAE or list"
          value={text}
          onChange={(event) => change("q", event.currentTarget.value)}
        />
        <select className="field" aria-label="SAE whose features are searched" value={of?.name ?? ""} onChange={(event) => change("sae", event.currentTarget.value)}>
          {all.map(({ name }) => (
            <option key={name}>{name}</option>
          ))}
        </select>
      </div>
      <Results query={query} sae={of?.name} most={60} />
    </div>
  );
}
