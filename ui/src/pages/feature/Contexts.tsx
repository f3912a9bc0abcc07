import { lazy, Suspense, useEffect, useRef, useState, type KeyboardEvent } from "react";
import type { ContextGroup, FeatureContext } from "../../api/contexts";
import { Skeleton } from "../../components/States";
import { TokenText } from "../../components/Tokens";
import { activation, count } from "../../format";
import { alone } from "../../tokens";
import { contextRows, type ContextSort } from "./contextRows";

// Once a row is opened.
const WholeContext = lazy(async () => ({ default: (await import("./WholeContext")).WholeContext }));

interface ContextsProps {
  name: string;
  index: number;
  group: ContextGroup;
  /** The feature's, to which all colors refer. */
  maximum: number;
  token: (id: number) => string;
  sort: ContextSort;
  onSort: (sort: ContextSort) => void;
  /** The context that is open, and what opens another or closes it. */
  open: number | null;
  onOpen: (context: number | null) => void;
  /** Rows shown until all are asked for. */
  most: number;
}

/** Contexts one under another, their strongest tokens in one line. A row opens in place. */
export function Contexts({ name, index, group, maximum, token, sort, onSort, open, onOpen, most }: ContextsProps) {
  const [whole, setWhole] = useState(false);
  const found = contextRows(group, sort, token);
  const cut = !whole && found.length > most && !found.slice(most).some(({ context }) => context.context === open);
  const rows = cut ? found.slice(0, most) : found;
  const list = useRef<HTMLOListElement>(null);
  const peaks = rows.map(({ context }) => alone(token(context.tokenIds[context.position] ?? 0)).length);
  const widest = Math.min(Math.max(...peaks, 4), 16);

  // A link to a context opens it where it is.
  useEffect(() => {
    if (open !== null) list.current?.querySelector("[aria-expanded=true]")?.scrollIntoView({ block: "nearest" });
  }, [open]);

  function press(event: KeyboardEvent) {
    const row = (event.target as HTMLElement).closest<HTMLElement>(".context > button");
    if (row === null) return;
    const all = [...(list.current?.querySelectorAll<HTMLElement>(".context > button") ?? [])];
    const to: Record<string, number> = { ArrowDown: all.indexOf(row) + 1, ArrowUp: all.indexOf(row) - 1, Home: 0, End: all.length - 1 };
    const next = to[event.key];
    if (next === undefined) return;
    event.preventDefault();
    all[Math.min(Math.max(next, 0), all.length - 1)]?.focus();
  }

  const heading = (key: ContextSort, text: string) => (
    <button type="button" className="link" aria-pressed={sort === key} onClick={() => onSort(key)}>
      {text}
      {sort === key && <span aria-hidden="true"> ↓</span>}
    </button>
  );
  return (
    <div className="contexts" style={{ "--peak": `${widest + 2}ch` } as object}>
      <div className="contexts-head">
        <span className="soft">value</span>
        <span className="left">{heading("left", "left word")}</span>
        <span>{heading("value", "value")}</span>
        <span>{heading("right", "right word")}</span>
        <span />
      </div>
      {/* Arrow keys go from row to row; each is a button by itself. */}
      {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
      <ol ref={list} onKeyDown={press}>
        {rows.map(({ context, times }, place) => (
          <li key={context.context} className="context">
            <button
              type="button"
              tabIndex={place === 0 ? 0 : -1}
              aria-expanded={context.context === open}
              onClick={() => onOpen(context.context === open ? null : context.context)}
            >
              <Row context={context} maximum={maximum} token={token} />
              <i data-says={times > 1 ? `${times} contexts that look the same here` : undefined}>
                {times > 1 && `× ${count(times)}`}
              </i>
              <span className="heard">{alsoActive(context, token)}</span>
            </button>
            {context.context === open && (
              <Suspense fallback={<Skeleton rows={6} label="Loading the context" />}>
                <WholeContext
                  name={name}
                  analysis={group.analysis}
                  index={index}
                  context={context.context}
                  maximum={maximum}
                  token={token}
                />
              </Suspense>
            )}
          </li>
        ))}
      </ol>
      {cut && (
        <button type="button" className="link more" onClick={() => setWhole(true)}>
          {count(found.length - rows.length)} more
        </button>
      )}
    </div>
  );
}

/** Tokens drawn on each side; what is further out is faded away anyway. */
const DRAWN = 40;

function Row({ context, maximum, token }: { context: FeatureContext; maximum: number; token: (id: number) => string }) {
  const { tokenIds, activations, position } = context;
  const part = (start: number, stop: number) => ({
    tokens: Array.from(tokenIds.subarray(start, stop), token),
    activations: activations.subarray(start, stop),
    maximum,
  });
  const value = activations[position] ?? 0;
  return (
    <>
      <b>{value > 0 ? activation(value, maximum) : "0"}</b>
      <span className="left">
        <span>
          <TokenText {...part(Math.max(position - DRAWN, 0), position)} />
        </span>
      </span>
      <span className="peak-cell">
        <TokenText {...part(position, position + 1)} peak={value > 0 ? 0 : undefined} trimmed />
      </span>
      <span className="right">
        <span>
          <TokenText {...part(position + 1, position + 1 + DRAWN)} />
        </span>
      </span>
    </>
  );
}

/** For ears: the active tokens around the strongest, which eyes see by their color. */
function alsoActive({ tokenIds, activations, position }: FeatureContext, token: (id: number) => string): string {
  const found: string[] = [];
  for (let at = Math.max(position - 8, 0); at < Math.min(position + 9, tokenIds.length); at++) {
    const value = activations[at] ?? 0;
    if (at !== position && value > 0) found.push(`${token(tokenIds[at] ?? 0).trim()} ${activation(value)}`);
  }
  return found.length > 0 ? `; also ${found.join(", ")}` : "";
}
