import { useParams } from "react-router";
import { Failed, Skeleton } from "../../components/States";
import { Tip } from "../../components/Tip";
import { useFeatureList } from "../../list/useList";
import { usePage } from "../../page";
import { featurePath } from "../../paths";
import { FeatureDetail } from "./FeatureDetail";

/** A feature inside somebody else's page: no bar, and nothing can be written. */
export function EmbedPage() {
  const { name = "", index = "" } = useParams();
  const { list, error, refetch } = useFeatureList(name);
  const row = Number(index) - (list?.columns.first ?? 0);
  usePage({ title: `feature ${index} · ${name}`, crumbs: [], sae: name });
  return (
    <main className="wrap">
      {error ? (
        <Failed what="The feature can't be shown:" error={error} retry={() => void refetch()} />
      ) : !list ? (
        <Skeleton rows={16} label="Loading the feature" />
      ) : Number.isSafeInteger(row) && row >= 0 && row < list.columns.rows ? (
        <FeatureDetail
          name={name}
          list={list}
          row={row}
          size="embedded"
          place={
            <a href={featurePath(name, Number(index))} target="_blank" rel="noreferrer">
              feature {index} of {name}
            </a>
          }
        />
      ) : (
        <p role="alert">
          {name} has no feature {index}.
        </p>
      )}
      <Tip />
    </main>
  );
}
