import { memo, type KeyboardEvent } from "react";
import type { Context } from "../api/client";
import { activation as figure } from "../format";
import { alone, inText, opacity } from "../tokens";


/** Tokens shown on each side of the strongest one, unless the whole context is wanted. */
export const WINDOW = 24;

interface ContextListProps {
  contexts: Context[];
  /** The feature's maximum, to which all colors refer. */
  maximum: number;
  whole: boolean;
}

/** Contexts, one a line, with each token's activation as color and, on hover or focus, as figure. */
export function ContextList({ contexts, maximum, whole }: ContextListProps) {
  // oxlint-disable-next-line unicorn/consistent-function-scoping
  function press(event: KeyboardEvent) {
    const token = event.target as HTMLElement;
    if (event.key === "Escape") {
      token.blur();
    }
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const active = [...(token.closest("p")?.querySelectorAll<HTMLElement>("[tabindex]") ?? [])];
    const next = active[active.indexOf(token) + (event.key === "ArrowRight" ? 1 : -1)];
    next?.focus();
    event.preventDefault(); // the page's own arrow keys rest while tokens have the focus
  }

  return (
    <>
      {/* Pointing and arrow keys only add to what is there: every token's text is plain text. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <ol
        className="contexts"
        onKeyDown={press}
      >
        {contexts.map((context) => (
          <Line key={context.context} context={context} maximum={maximum} whole={whole} />
        ))}
      </ol>
    </>
  );
}

interface LineProps {
  context: Context;
  maximum: number;
  whole: boolean;
}

const Line = memo(function Line({ context, maximum, whole }: LineProps) {
  const { tokens, activations, position } = context;
  const first = whole ? 0 : Math.max(position - WINDOW, 0);
  const last = whole ? tokens.length : Math.min(position + WINDOW + 1, tokens.length);
  return (
    <li>
      <span className="number">{figure(context.maximum, maximum)}</span>
      <p>
        {first > 0 && <span className="cut">…</span>}
        {tokens.slice(first, last).map((token, i) => {
          const at = first + i;
          const value = activations[at] ?? 0;
          return (
            <span
              key={at}
              data-says={`${figure(value)} · ${alone(token)} · position ${at}`}
              data-activation={value}
              // One stop of the Tab key for each context: its strongest token.
              {...(value > 0 && {
                tabIndex: at === position ? 0 : -1,
                role: "mark",
                "aria-label": `${token} ${figure(value)}`,
              })}
              {...tokenLook(token, value, maximum, at === position)}
            >
              {inText(token)}
            </span>
          );
        })}
        {last < tokens.length && <span className="cut">…</span>}
      </p>
      <span className="where" title="number of the context in the cache">
        {context.context}
      </span>
    </li>
  );
});

function tokenLook(_: string, activation: number, maximum: number, strongest: boolean) {
  const alpha = opacity(activation, maximum);
  return {
    className: `token${strongest ? " strongest" : ""}`,
    ...(alpha > 0 && { style: { "--alpha": (0.12 + 0.68 * alpha).toFixed(3) } as object }),
  };
}
