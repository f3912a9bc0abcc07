import type { CSSProperties } from "react";
import { inText, isSpecial, opacity } from "../tokens";

interface TokensProps {
  tokens: string[];
  activations: number[];
  /** Number, among these tokens, of the strongest. */
  position: number;
  /** The feature's maximum, to which all colors refer. */
  maximum: number;
}

/** Running text with every token colored by its activation, for tables. */
export function Tokens({ tokens, activations, position, maximum }: TokensProps) {
  return tokens.map((token, i) => (
    // oxlint-disable-next-line react/no-array-index-key
    <span key={i} {...tokenLook(token, activations[i] ?? 0, maximum, i === position)}>
      {inText(token)}
    </span>
  ));
}

/** Class and color of one token. */
export function tokenLook(
  token: string,
  activation: number,
  maximum: number,
  strongest: boolean,
) {
  const alpha = opacity(activation, maximum);
  const special = alpha === 0 && isSpecial(token);
  return {
    className: `token${strongest ? " strongest" : ""}${special ? " special" : ""}`,
    ...(alpha > 0 && { style: { "--alpha": alpha.toFixed(3) } as CSSProperties }),
  };
}
