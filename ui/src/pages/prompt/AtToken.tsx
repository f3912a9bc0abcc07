import { Link } from "react-router";
import type { Activations } from "../../api/model";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { useFeatures } from "../../components/lab/features";
import { figure } from "../../format";
import { featurePath } from "../../paths";
import { alone } from "../../tokens";
import { nats } from "./figures";

const SHOWN = 5;

interface AtTokenProps {
  found: Activations;
  token: number;
  onColor: (index: number) => void;
}

/** The features that are strongest at one token of the text, dense ones too. */
export function AtToken({ found, token, onColor }: AtTokenProps) {
  const features = useFeatures(found.sae);
  const here = found.per_token[token] ?? [];
  const text = found.tokens[token];
  if (!text) return null;
  const largest = here[0]?.activation ?? 1;
  const active = found.active[token] ?? 0;
  return (
    <section className="at-token">
      <h3>
        At <code className="token-name">{alone(text.token)}</code>{" "}
        {here.length === 0
          ? "no feature fires"
          : active > SHOWN
            ? `the strongest of ${active}`
            : `${active} active`}
        {typeof text.log_probability === "number" && (
          <small title="log-probability of this token after those before it">
            {nats(text.log_probability)} nats
          </small>
        )}
      </h3>
      <ol>
        {here.slice(0, SHOWN).map(({ index, activation }) => (
          <li key={index}>
            <Link to={featurePath(found.sae, index)}>{index}</Link>
            <span className="at-label">
              <FeatureLabel sae={found.sae} index={index} />
              {features?.isDense(index) && <small className="soft">dense</small>}
            </span>
            <button
              type="button"
              className="at-bar"
              aria-label={`Color the text by ${index}`}
              onClick={() => onColor(index)}
            >
              <i style={{ width: `${(100 * activation) / largest}%` }} />
            </button>
            <span>{figure(activation)}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
