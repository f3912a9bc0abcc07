import { Link } from "react-router";
import type { Activations, TextFeature } from "../../api/model";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { useFeatures } from "../../components/lab/features";
import { figure, percent } from "../../format";
import { featurePath } from "../../paths";
import { bits, scoreTitle } from "./figures";
import { Strip } from "./Strip";
import type { Rank } from "./state";

interface FeatureStripsProps {
  found: Activations;
  rank: Rank;
  selectedToken: number | null;
  /** The feature that the text is colored by. */
  colored: number | null;
  /** The row that keys stand at. */
  current: number | null;
  onColor: (index: number) => void;
}

/** A text's features, the first by the ranking on top, each with its activation by token. */
export function FeatureStrips(props: FeatureStripsProps) {
  const { found, rank, selectedToken, colored, current, onColor } = props;
  const features = useFeatures(found.sae);
  const scores = rank === "sum" ? "sum" : "surprise";
  return (
    <table className="strips">
      <caption className="heard">
        Features of {found.sae} over the text, by {rank}
      </caption>
      <thead>
        <tr>
          <th scope="col">no.</th>
          <th scope="col" className="text">
            over the text
          </th>
          <th scope="col" className="text by-token">
            by token
          </th>
          <Score title="max" on={rank === "maximum"} />
          <Score title="share" on={rank === "share"} />
          <Score title={scoreTitle(scores)} on={rank === scores} />
        </tr>
      </thead>
      <tbody>
        {found.features.map((feature, row) => (
          <tr
            key={feature.index}
            className={rowClass(feature.index === colored, row === current)}
            data-row={row}
          >
            <th scope="row">
              <Link to={featurePath(found.sae, feature.index)}>{feature.index}</Link>
            </th>
            <td className="text">
              <FeatureLabel sae={found.sae} index={feature.index} />
            </td>
            <td className="by-token">
              <button
                type="button"
                className="strip-button"
                aria-pressed={feature.index === colored}
                aria-label={`Color the text by ${feature.index}: ${figure(feature.maximum)} at token ${feature.position}`}
                onClick={() => onColor(feature.index)}
              >
                <Strip
                  values={feature.values}
                  maximum={features?.maximum(feature.index) ?? feature.maximum}
                  selected={selectedToken}
                />
              </button>
            </td>
            <td>{figure(feature.maximum)}</td>
            <td className="soft">{percent(feature.share)}</td>
            <td>{scores === "sum" ? figure(feature.sum) : bits(surprise(feature, rank))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Score({ title, on }: { title: string; on: boolean }) {
  return (
    <th scope="col" aria-sort={on ? "descending" : undefined}>
      {title}
      {on && <span aria-hidden="true"> ↓</span>}
    </th>
  );
}

/** The server gives the score that it ranked by; bits are known where that was surprise. */
const surprise = (feature: TextFeature, rank: Rank) => (rank === "surprise" ? feature.score : null);

const rowClass = (colored: boolean, current: boolean) =>
  [colored && "on", current && "current"].filter(Boolean).join(" ") || undefined;
