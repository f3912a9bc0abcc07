/** What a feature is called: a person's or a model's words, else the tokens it fires on. */
import { percent } from "../format";
import { alone } from "../tokens";

export interface LabelFacts {
  /** What was said of it; first choice. */
  said?: string | null | undefined;
  tokens: readonly string[];
  /** Of its activation, by token. */
  shares: readonly number[];
}

export function Label({ said, tokens, shares }: LabelFacts) {
  if (said) return <span className="label said">{said}</span>;
  if (tokens.length === 0) return <span className="label said soft">never active</span>;
  return (
    <span className="label">
      {tokens.map((token, i) => (
          // Two tokens may look the same.
          // oxlint-disable-next-line react/no-array-index-key
          <span key={`${i} ${token}`}>
          {alone(token)}
          <small>{percent(shares[i] ?? null)}</small>
        </span>
      ))}
    </span>
  );
}
