/** Tokens made visible: white space is drawn where it would be lost. */

/** A token inside running text: line breaks and tabs drawn, spaces kept as they are. */
export function inText(token: string): string {
  const drawn = token.replaceAll("\r", "").replaceAll("\n", "↵").replaceAll("\t", "⇥");
  return /^ +$/.test(drawn) ? "␣".repeat(drawn.length) : drawn;
}

/** A token on its own: spaces at its edges are drawn too. */
export function alone(token: string): string {
  return inText(token).replaceAll(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

/** Whether a token is the tokenizer's own and not of the text: `<|endoftext|>`, `<bos>`. */
export function isSpecial(token: string): boolean {
  return /^<\|?[\w ]+\|?>$/.test(token);
}

/** Opacity of a token's background: .12 at the weakest, .8 at the feature's maximum. */
export function opacity(activation: number, maximum: number): number {
  if (activation <= 0 || maximum <= 0) return 0;
  return 0.12 + 0.68 * Math.sqrt(Math.min(activation / maximum, 1));
}
