import { useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { Link } from "react-router";
import { getSAEs } from "../../api/client";
import { useColumns, useExplanations, useLists, useVocabulary } from "../../api/queries";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { Empty, Failed, Skeleton } from "../../components/States";
import { count } from "../../format";
import { featurePath, saePath } from "../../paths";
import { matches } from "../home/rows";
import { findFeatures } from "./find";
import "../../components/lab/lab.css";
import "./search.css";

const NOTHING_SAID = new Map<number, string>();

interface ResultsProps {
  query: string;
  /** The SAE whose features are searched; the first one where it is not said or not there. */
  sae: string | undefined;
  /** Features shown at most. */
  most: number;
}

/** Features by number, token or label, SAEs and lists by name. */
export function Results({ query, sae, most }: ResultsProps) {
  const saes = useQuery({ queryKey: ["saes"], queryFn: ({ signal }) => getSAEs(signal) });
  const lists = useLists();
  const all = saes.data ?? [];
  const of = all.find(({ name }) => name === sae) ?? all[0];
  const number = /^\d{1,9}$/.test(query) ? Number(query) : null;
  const named = query === "" ? [] : all.filter(({ name }) => matches(query, [name]));
  const listed = query === "" ? [] : (lists.data ?? []).filter(({ name }) => matches(query, [name]));
  const numbered = number === null ? [] : all.filter(({ first_feature: first, features_analyzed: some }) => number >= first && number < first + some);
  if (query === "") {
    return <Empty>A number is a feature; a word is looked for in labels, in the tokens that features fire on and in those they promote.</Empty>;
  }
  return (
    <>
      {saes.error && <Failed what="The SAEs can't be listed:" error={saes.error} retry={() => void saes.refetch()} />}
      {numbered.length > 0 && number !== null && (
        <section>
          <h2>Feature {number}</h2>
          <ul className="results">
            {numbered.toSorted((a, b) => Number(b === of) - Number(a === of)).map(({ name }) => (
              <li key={name}>
                <Link to={featurePath(name, number)}>{name} {number}</Link>
                <FeatureLabel sae={name} index={number} />
              </li>
            ))}
          </ul>
        </section>
      )}
      {named.length > 0 && (
        <section>
          <h2>SAEs</h2>
          <ul className="results">
            {named.slice(0, most).map(({ name, hook }) => (
              <li key={name}>
                <Link to={saePath(name)}>{name}</Link> <span className="soft">{hook}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      {listed.length > 0 && (
        <section>
          <h2>Lists</h2>
          <ul className="results">
            {listed.slice(0, most).map(({ id, name, features }) => (
              <li key={id}>
                <Link to={`/lists/${id}`}>{name}</Link> <span className="soft">{count(features.length)} features</span>
              </li>
            ))}
          </ul>
        </section>
      )}
      {of && <Features key={of.name} sae={of.name} query={query} most={most} />}
    </>
  );
}

function Features({ sae, query, most }: { sae: string; query: string; most: number }) {
  const columns = useColumns(sae);
  const vocabulary = useVocabulary(columns.data?.vocabulary).data;
  const said = useExplanations(sae).data ?? NOTHING_SAID;
  const result = useMemo(
    () => (columns.data && vocabulary ? findFeatures(query, columns.data, vocabulary, said, most) : null),
    [columns.data, vocabulary, said, query, most],
  );
  if (columns.error) return <Failed what={`${sae}:`} error={columns.error} />;
  if (!result) return <Skeleton rows={8} />;
  return (
    <section>
      <h2>
        Features of {sae}
        <small role="status">
          {count(result.total)} found{result.total > most && `, the first ${most}`}
        </small>
      </h2>
      {result.total === 0 ? (
        <Empty>No label, fired or promoted token of {sae} is “{query}”.</Empty>
      ) : (
        <ul className="results">
          {result.found.map(({ index, why }) => (
            <li key={index}>
              <Link to={featurePath(sae, index)}>{index}</Link>
              <FeatureLabel sae={sae} index={index} />
              <span className="soft">{why}</span>
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
