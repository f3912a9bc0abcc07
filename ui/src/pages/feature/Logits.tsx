import type { Feature } from "../../api/client";
import { count, figure } from "../../format";
import { alone } from "../../tokens";

const WIDTH = 300;
const HEIGHT = 44;

/**
 * Promoted and suppressed tokens in standard deviations of all logit weights, below these, so that
 * ten equal bars can't pretend to mean something.
 */
export function Logits({ feature, most }: { feature: Feature; most: number }) {
  const { logits, promotes, suppresses, maximum } = feature;
  if (promotes.length === 0 && suppresses.length === 0) {
    return (
      <section>
        <h2>Promotes, suppresses</h2>
        <p className="note">Not known: the feature does not write into the residual stream.</p>
      </section>
    );
  }
  const sigma = (weight: number) => (logits && logits.std > 0 ? (weight - logits.mean) / logits.std : weight);
  const sign = (value: number) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(logits ? 1 : 2)}`;
  const furthest = logits ? Math.max(sigma(logits.upper), -sigma(logits.lower)) : null;
  const strongest = promotes[0]?.weight;
  return (
    <section className="logits">
      <h2>
        Promotes, suppresses <small>{logits ? `all ${count(sum(logits.counts))} logit weights` : "logit weight"}</small>
      </h2>
      {logits && <Distribution logits={logits} sigma={sigma} />}
      <div className="sides">
        <ol aria-label="Promotes">
          {promotes.slice(0, most).map((each) => (
            <li key={each.id} data-says={`logit weight ${figure(each.weight)}, per unit of activation`}>
              <code>{alone(each.token)}</code> <span className="up">{sign(sigma(each.weight))}</span>
            </li>
          ))}
        </ol>
        <ol aria-label="Suppresses">
          {suppresses.slice(0, most).map((each) => (
            <li key={each.id} data-says={`logit weight ${figure(each.weight)}, per unit of activation`}>
              <code>{alone(each.token)}</code> <span className="down">{sign(sigma(each.weight))}</span>
            </li>
          ))}
        </ol>
      </div>
      {logits && furthest !== null && (
        <p className="note">
          In standard deviations (σ = {figure(logits.std)}).
          {strongest !== undefined && maximum > 0 && ` At its maximum the first gains ${figure(strongest * maximum)} logits.`}{" "}
          {furthest < 5
            ? `Nothing lies beyond ${furthest.toFixed(1)} σ: no token stands out.`
            : `The furthest lies at ${furthest.toFixed(1)} σ.`}
        </p>
      )}
    </section>
  );
}

function Distribution({ logits, sigma }: { logits: NonNullable<Feature["logits"]>; sigma: (weight: number) => number }) {
  const { counts, lower, upper } = logits;
  const highest = Math.max(...counts, 1);
  const width = WIDTH / counts.length;
  const weightOf = (bin: number) => lower + ((bin + 0.5) * (upper - lower)) / counts.length;
  const place = (sigmas: number) => ((logits.mean + sigmas * logits.std - lower) / (upper - lower || 1)) * WIDTH;
  return (
    <svg viewBox={`0 0 ${WIDTH} ${HEIGHT + 14}`} role="img" aria-label={`Logit weights from ${sigma(lower).toFixed(1)} to ${sigma(upper).toFixed(1)} standard deviations`}>
      {counts.map((value, bin) => {
        const at = sigma(weightOf(bin));
        // By the root: the tails are what one looks for.
        const tall = value === 0 ? 0 : Math.max(HEIGHT * Math.sqrt(value / highest), 1.5);
        return (
          // Bins are positions.
          // oxlint-disable-next-line react/no-array-index-key
          <rect key={bin} className={at > 2.5 ? "up" : at < -2.5 ? "down" : "middle"} x={bin * width} y={HEIGHT - tall} width={Math.max(width - 0.6, 0.4)} height={tall} />
        );
      })}
      {[-6, -4, -2, 0, 2, 4, 6].map(
        (tick) =>
          place(tick) > 8 &&
          place(tick) < WIDTH - 8 && (
            <text key={tick} x={place(tick)} y={HEIGHT + 12} textAnchor="middle">
              {tick === 0 ? "0" : `${tick < 0 ? "−" : "+"}${Math.abs(tick)}σ`}
            </text>
          ),
      )}
    </svg>
  );
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
