/** Text as tokens, each colored by its activation as a share of the feature's maximum. */
import type { CSSProperties } from "react";
import { figure } from "../format";
import { alone, inText, isSpecial, opacity, pieces, type Piece } from "../tokens";

interface TokenTextProps {
  tokens: readonly string[];
  activations: ArrayLike<number>;
  /** The feature's maximum, to which all colors refer, so that two pages can be compared. */
  maximum: number;
  /** Number, among these tokens, of the strongest: it has a ring. */
  peak?: number | undefined;
  /** Line breaks are kept, and the space before a word is left uncolored. */
  wrapped?: boolean;
  /** Spaces at a token's edges are left out: it stands by itself. */
  trimmed?: boolean;
}

/** Running text. Each token says its activation on hover, and on focus where one can take it. */
export function TokenText({ tokens, activations, maximum, peak, wrapped = false, trimmed = false }: TokenTextProps) {
  return pieces(tokens).map((piece) => (
    <Token
      key={piece.first}
      piece={piece}
      activation={strongest(activations, piece)}
      says={sayTokens(tokens, activations, piece)}
      maximum={maximum}
      peak={peak !== undefined && peak >= piece.first && peak < piece.end}
      wrapped={wrapped}
      trimmed={trimmed}
    />
  ));
}

interface TokenProps {
  piece: Piece;
  activation: number;
  says: string;
  maximum: number;
  peak: boolean;
  wrapped: boolean;
  trimmed: boolean;
}

function Token({ piece, activation, says, maximum, peak, wrapped, trimmed }: TokenProps) {
  const alpha = opacity(activation, maximum);
  const special = isSpecial(piece.text);
  const look = {
    className: `t${peak ? " peak" : ""}${special ? " special" : ""}`,
    "data-says": says,
    "data-token": piece.first,
    ...(alpha > 0 && { style: { "--alpha": alpha.toFixed(3) } as CSSProperties }),
  };
  if (special) return <span {...look}>⊢</span>;
  if (!wrapped) return <span {...look}>{inText(trimmed ? piece.text.trim() || piece.text : piece.text)}</span>;
  const space = alpha > 0 && /^ +\S/.test(piece.text) ? /^ +/.exec(piece.text)?.[0] : "";
  const text = piece.text.slice(space?.length ?? 0);
  return (
    <>
      {space}
      <span {...look}>
        {text.split(/(\n)/).map((part) => (part === "\n" ? LINE_BREAK : part && inText(part)))}
      </span>
      {alpha > 0 && <span className="heard"> {figure(activation)} </span>}
    </>
  );
}

function strongest(activations: ArrayLike<number>, { first, end }: Piece): number {
  let found = 0;
  for (let place = first; place < end; place++) found = Math.max(found, activations[place] ?? 0);
  return found;
}

/** Drawn and made. */
const LINE_BREAK = [<s key="sign">↵</s>, "\n"];

/** `␣have 5.28`; of the bytes of one character each. */
function sayTokens(tokens: readonly string[], activations: ArrayLike<number>, { first, end }: Piece): string {
  const said: string[] = [];
  for (let place = first; place < end; place++) {
    said.push(`${alone(tokens[place] ?? "")} ${figure(activations[place] ?? 0)}`);
  }
  return said.join(" · ");
}
