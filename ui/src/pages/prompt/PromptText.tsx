import { useMemo, type CSSProperties, type KeyboardEvent } from "react";
import type { TextToken } from "../../api/model";
import { inText, pieces } from "../../tokens";

interface PromptTextProps {
  tokens: readonly TextToken[];
  /** From 0 to 1, by token: how strong its background is. */
  shades: readonly number[];
  /** Whether the shade is activation (teal) or what the model didn't expect (rust). */
  hue: "activation" | "unexpected";
  /** What each token says of itself, on hover and to a screen reader. */
  says: (token: number) => string;
  selected: number | null;
  onSelect: (token: number | null) => void;
  label: string;
}

/**
 * The text, large; a press on a token selects it. One Tab stop, arrow keys go from token to token.
 * Tokens that are bytes of one character are one piece, colored by the strongest of them.
 */
export function PromptText(props: PromptTextProps) {
  const { tokens, shades, hue, says, selected, onSelect, label } = props;
  const drawn = useMemo(() => pieces(tokens.map(({ token }) => token)), [tokens]);
  const chosen =
    selected === null
      ? -1
      : drawn.findIndex(({ first, end }) => selected >= first && selected < end);
  const stop = Math.max(chosen, 0);

  function walk(event: KeyboardEvent<HTMLElement>) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const next = Math.min(Math.max(stop + step, 0), drawn.length - 1);
    onSelect(drawn[next]?.first ?? null);
    event.currentTarget.querySelectorAll<HTMLElement>("[role=option]")[next]?.focus();
  }

  return (
    <div
      className={`prompt-text ${hue}`}
      role="listbox"
      aria-label={label}
      aria-orientation="horizontal"
      tabIndex={-1}
      onKeyDown={walk}
    >
      {drawn.map(({ text, first, end }, i) => {
        const shade = Math.max(...shades.slice(first, end), 0);
        const special = tokens[first]?.special ?? false;
        const [space, rest] = special ? ["", "⊢"] : edges(text);
        const about = Array.from({ length: end - first }, (_, k) => says(first + k)).join("\n");
        const isChosen = i === chosen;
        return (
          <span
            key={first}
            role="option"
            aria-selected={isChosen}
            aria-label={about}
            title={about}
            tabIndex={i === stop ? 0 : -1}
            className={special ? "option special" : "option"}
            onClick={() => onSelect(isChosen ? null : first)}
            onKeyDown={(event) => {
              if (event.key !== "Enter" && event.key !== " ") return;
              event.preventDefault();
              event.stopPropagation();
              onSelect(isChosen ? null : first);
            }}
          >
            {space}
            <span
              className={isChosen ? "t selected" : "t"}
              style={shade > 0 ? ({ "--alpha": shade.toFixed(3) } as CSSProperties) : undefined}
            >
              {rest}
            </span>
            {text.includes("\n") && "\n"}
          </span>
        );
      })}
    </div>
  );
}

/** The white space before a word, which stays without color, and what is drawn. */
function edges(token: string): [string, string] {
  const space = /^ +(?=\S)/.exec(token)?.[0] ?? "";
  return [space, inText(token.slice(space.length))];
}
