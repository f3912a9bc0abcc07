import { useState, type KeyboardEvent } from "react";
import { Link, useLocation } from "react-router";
import type { FeatureContext } from "../../api/contexts";
import { useWholeContext } from "../../api/queries";
import { Copy } from "../../components/Copy";
import { Failed, Skeleton } from "../../components/States";
import { TokenText } from "../../components/Tokens";
import { count } from "../../format";
import { promptPath } from "../../paths";
import { isSpecial, pieces } from "../../tokens";
import { LossEffect } from "./LossEffect";

interface WholeContextProps {
  name: string;
  analysis: string;
  index: number;
  context: number;
  maximum: number;
  token: (id: number) => string;
}

/** A context from its beginning to its end, its lines as they are, with what is around it. */
export function WholeContext({ name, analysis, index, context, maximum, token }: WholeContextProps) {
  const found = useWholeContext(name, analysis, index, context);
  const { pathname, search } = useLocation();
  const [around, setAround] = useState(false);
  if (found.error) return <Failed what="This context can't be shown:" error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) {
    return (
      <div className="opened">
        <Skeleton rows={4} height={20} label="Loading the context" />
      </div>
    );
  }
  const own = found.data.contexts.find((each) => each.context === context);
  const others = found.data.contexts.filter((each) => each.context !== context);
  if (!own) return null;
  const strings = Array.from(own.tokenIds, token);
  const text = pieces(strings)
    .map((piece) => (isSpecial(piece.text) ? "" : piece.text))
    .join("");
  const json = {
    sae: name,
    analysis,
    feature: index,
    context,
    position: own.position,
    tokens: strings,
    token_ids: Array.from(own.tokenIds),
    activations: Array.from(own.activations),
  };
  const address = `${location.origin}${pathname}${search}`;
  return (
    <div className="opened">
      {around && others.filter((each) => each.context < context).map((each) => <Part key={each.context} part={each} soft maximum={maximum} token={token} />)}
      <Part part={own} maximum={maximum} token={token} />
      {around && others.filter((each) => each.context > context).map((each) => <Part key={each.context} part={each} soft maximum={maximum} token={token} />)}
      <footer>
        <span className="soft">
          context {count(context)} · position {count(own.position)} of {count(own.length)}
        </span>
        <Copy what="text" text={text} />
        <Copy what="JSON" text={JSON.stringify(json)} />
        <Copy what="link" text={address} />
        <Link to={promptPath(name, text)}>through all features</Link>
        {others.length > 0 && (
          <button type="button" className="link" aria-pressed={around} onClick={() => setAround(!around)}>
            {around ? "without what is around it" : "with what is around it"}
          </button>
        )}
      </footer>
      <LossEffect key={context} name={name} analysis={analysis} index={index} context={context} tokens={strings} />
    </div>
  );
}

/** The text of a context. Its active tokens are one stop of the Tab key, with arrow keys inside. */
function Part({ part, soft = false, maximum, token }: { part: FeatureContext; soft?: boolean; maximum: number; token: (id: number) => string }) {
  const tokens = Array.from(part.tokenIds, token);
  const bounds = [0, ...part.boundaries, tokens.length];
  return bounds.slice(0, -1).map((start, i) => {
    const stop = bounds[i + 1] ?? tokens.length;
    const holds = !soft && part.position >= start && part.position < stop;
    return (
      <div key={start} className={soft ? "soft" : undefined}>
        {i > 0 && <p className="document">another document</p>}
        {/* Arrow keys go from active token to active token. */}
        {/* oxlint-disable-next-line jsx-a11y/no-noninteractive-element-interactions */}
        <p
          className="wrapped"
          role="group"
          aria-label={soft ? "Text around it" : "Text with activations"}
          // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
          tabIndex={holds ? 0 : undefined}
          onKeyDown={walk}
        >
          <TokenText
            tokens={tokens.slice(start, stop)}
            activations={soft ? [] : part.activations.subarray(start, stop)}
            maximum={maximum}
            peak={holds && (part.activations[part.position] ?? 0) > 0 ? part.position - start : undefined}
            wrapped
          />
        </p>
      </div>
    );
  });
}

function walk(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const active = [...event.currentTarget.querySelectorAll<HTMLElement>(".t[style]")];
  if (active.length === 0) return;
  event.preventDefault(); // the page's own arrow keys rest inside of a text
  const now = active.indexOf(document.activeElement as HTMLElement);
  const step = event.key === "ArrowRight" ? 1 : -1;
  const peak = active.findIndex((each) => each.classList.contains("peak"));
  const next = active[now === -1 ? Math.max(peak, 0) : Math.min(Math.max(now + step, 0), active.length - 1)];
  next?.setAttribute("tabindex", "-1");
  next?.focus();
}
