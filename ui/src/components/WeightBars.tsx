import type { TokenWeight } from "../api/client";
import { weight } from "../format";
import { alone } from "../tokens";

/** Tokens with the logit weight a feature gives them, longest bar first. */
export function WeightBars({ weights, kind }: { weights: TokenWeight[]; kind: "promotes" | "suppresses" }) {
  const strongest = Math.max(...weights.map((each) => Math.abs(each.weight)), Number.MIN_VALUE);
  return (
    <ol className={`weights ${kind}`}>
      {weights.map((each) => (
        <li key={each.id}>
          <code>{alone(each.token)}</code>
          <span className="track">
            <i style={{ width: `${(100 * Math.abs(each.weight)) / strongest}%` }} />
          </span>
          <span className="number">{weight(each.weight)}</span>
        </li>
      ))}
    </ol>
  );
}
