import { Link, useLocation } from "react-router";
import type { Feature } from "../../api/client";
import { useOtherFeature } from "../../api/queries";
import { Barred } from "../../components/Barred";
import { Label } from "../../components/Label";
import { figure, percent, share } from "../../format";
import type { FeatureList } from "../../list/useList";
import { featurePath } from "../../paths";

export function FiresOn({ feature, most }: { feature: Feature; most: number }) {
  const rows = (feature.fires_on ?? []).slice(0, most).map((each) => ({
    token: each.token,
    length: each.mean,
    figure: figure(each.mean),
    second: percent(each.share_of_token),
    says: `${each.count} firings, ${percent(each.share_of_firings)} of all; active on ${percent(each.share_of_token)} of the token's occurrences`,
  }));
  return rows.length > 0 && <Barred title="Fires on" about="mean · share of that token" rows={rows} />;
}

export function PrecededBy({ feature, most }: { feature: Feature; most: number }) {
  const rows = (feature.preceded_by ?? []).slice(0, most).map((each) => ({
    token: each.token,
    length: each.share,
    figure: percent(each.share),
    second: `× ${figure(each.lift)}`,
    says: `before ${percent(each.share)} of the firings, ${figure(each.lift)} times as often as before any token`,
  }));
  return rows.length > 0 && <Barred title="What stands before it" about="share · lift" rows={rows} />;
}

interface NearProps {
  title: string;
  about: string;
  name: string;
  list: FeatureList;
  rows: readonly { feature: number; value: number; says?: string }[];
}

/** Features of the same SAE, each with its label. */
export function Near({ title, about, name, list, rows }: NearProps) {
  const { search } = useLocation();
  const kept = new URLSearchParams(search);
  for (const key of ["feature", "context", "group", "words"]) kept.delete(key);
  if (rows.length === 0) return null;
  return (
    <section>
      <h2>
        {title} <small>{about}</small>
      </h2>
      <ol>
        {rows.map(({ feature, value, says }) => (
          <li key={feature} className="near" data-says={says}>
            <Link to={{ pathname: featurePath(name, feature), search: kept.toString() }}>{feature}</Link>
            <Label {...list.label(feature - list.columns.first)} />
            <span>{share(value)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

export function Together({ feature, name, list, most }: { feature: Feature; name: string; list: FeatureList; most: number }) {
  const rows = (feature.neighbors?.jaccard ?? []).slice(0, most).map((each) => ({
    feature: each.feature,
    value: each.jaccard,
    says: `both fire on ${each.joint} of the sampled rows, of which either fires on ${share(each.jaccard)}; pointwise mutual information ${figure(each.pmi)} nats`,
  }));
  return <Near title="Fires together" about="Jaccard" name={name} list={list} rows={rows} />;
}

export function NearBy({ feature, name, list, most, by = "decoder" }: { feature: Feature; name: string; list: FeatureList; most: number; by?: "decoder" | "encoder" }) {
  const rows = (feature.neighbors?.[by] ?? []).slice(0, most).map((each) => ({ feature: each.feature, value: each.cosine }));
  return <Near title={`Near by ${by}`} about="cosine" name={name} list={list} rows={rows} />;
}

/** The best match in each other SAE. Low everywhere means: don't build on this feature. */
export function Twins({ feature }: { feature: Feature }) {
  const twins = feature.twins ?? [];
  if (twins.length === 0) return null;
  return (
    <section>
      <h2>
        Twins in other SAEs <small>cosine</small>
      </h2>
      <ol>
        {twins.map((twin) => (
          <li
            key={twin.sae}
            className="near twin"
            data-says={`cosine ${share(twin.cosine)}, correlation of activations ${share(twin.correlation)}${twin.mutual ? "; each is the other's best match" : ""}`}
          >
            {twin.feature === null ? (
              <span className="soft">none</span>
            ) : (
              <Link to={featurePath(twin.sae, twin.feature)}>{twin.feature}</Link>
            )}
            <span className="other">
              {twin.feature !== null && <OtherLabel sae={twin.sae} feature={twin.feature} />}
              <small className="soft">{twin.sae}</small>
            </span>
            <span>{share(twin.cosine)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}

function OtherLabel({ sae, feature }: { sae: string; feature: number }) {
  const found = useOtherFeature(sae, feature);
  const tokens = (found.data?.fires_on ?? []).toSorted((a, b) => b.share_of_firings - a.share_of_firings).slice(0, 2);
  if (tokens.length === 0) return null;
  return <Label tokens={tokens.map((each) => each.token)} shares={tokens.map((each) => each.share_of_firings)} />;
}
