/** Tokens made visible: white space, controls and bytes are drawn where they would be lost. */

/** Consecutive tokens that are one piece of text: a token, or those whose bytes are one character. */
export interface Piece {
  text: string;
  /** Number of its first token, and of the one after its last. */
  first: number;
  end: number;
}

const ESCAPE = /\\x([89a-f][0-9a-f])/g;
/** No character of UTF-8 has more than four bytes. */
const MOST_TOKENS = 4;

/**
 * Tokens with the bytes of a character joined: `\xe6\x97` and `\xa5` are 日. Bytes that make no
 * character stay as they are.
 */
export function pieces(tokens: readonly string[]): Piece[] {
  const found: Piece[] = [];
  for (let first = 0; first < tokens.length; ) {
    const joined = joinBytes(tokens, first);
    found.push(joined ?? { text: tokens[first] ?? "", first, end: first + 1 });
    first = joined ? joined.end : first + 1;
  }
  return found;
}

function joinBytes(tokens: readonly string[], first: number): Piece | null {
  let text = "";
  for (let end = first + 1; end <= Math.min(first + MOST_TOKENS, tokens.length); end++) {
    const token = tokens[end - 1] ?? "";
    if (token.search(ESCAPE) === -1) return null;
    text += token;
    const decoded = decodeBytes(text);
    if (decoded !== null) return { text: decoded, first, end };
  }
  return null;
}

/** Text with `\x..` for bytes as what these bytes say; null where they are not UTF-8. */
function decodeBytes(text: string): string | null {
  const bytes: number[] = [];
  let last = 0;
  const encoder = new TextEncoder();
  for (const match of text.matchAll(ESCAPE)) {
    bytes.push(...encoder.encode(text.slice(last, match.index)), Number.parseInt(match[1] ?? "", 16));
    last = match.index + match[0].length;
  }
  bytes.push(...encoder.encode(text.slice(last)));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return null;
  }
}

const NAMED: Record<string, string> = { "\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽" };
const isJoiner = (character: string) =>
  character === "\u200d" || (character >= "\ufe00" && character <= "\ufe0f");

/** A token inside running text: line breaks, tabs and what can't be seen drawn, spaces as they are. */
export function inText(token: string): string {
  const drawn = visible(token);
  return /^ +$/.test(drawn) ? "␣".repeat(drawn.length) : drawn;
}

/** A token on its own: spaces at its edges are drawn too. */
export function alone(token: string): string {
  return inText(token).replaceAll(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length));
}

function visible(token: string): string {
  let drawn = "";
  for (const character of token) {
    if (NAMED[character] !== undefined) drawn += NAMED[character];
    else if (/\p{Cc}/u.test(character)) drawn += `\\x${hex(character, 2)}`;
    // Joiners and variation selectors are seen in what they join.
    else if (/\p{Cf}|[\u2028\u2029\u115f\u3164]/u.test(character) || isJoiner(character)) {
      const joins = isJoiner(character) && drawn !== "" && token !== character;
      drawn += joins ? character : `U+${hex(character, 4).toUpperCase()}`;
    } else if (/\p{M}/u.test(character) && drawn === "") drawn += `◌${character}`;
    else if (character !== " " && /\p{Zs}/u.test(character)) drawn += `U+${hex(character, 4).toUpperCase()}`;
    else drawn += character;
  }
  return drawn;
}

const hex = (character: string, digits: number) =>
  (character.codePointAt(0) ?? 0).toString(16).padStart(digits, "0");

/** Whether a token is the tokenizer's own and not of the text: `<|endoftext|>`, `<bos>`, `[CLS]`. */
export function isSpecial(token: string): boolean {
  return /^(<\|?[\w ]+\|?>|<｜[^<>]+｜>|\[(CLS|SEP|PAD|UNK|MASK|BOS|EOS)\])$/.test(token);
}

/** How much of a token's color is shown: 0 where it is silent, 1 at the feature's maximum. */
export function opacity(activation: number, maximum: number): number {
  if (!(activation > 0) || !(maximum > 0)) return 0;
  return Math.sqrt(Math.min(activation / maximum, 1));
}
