import { useEffect, useLayoutEffect, useRef, useState } from "react";
import type { GraphNode } from "../../api/graphs";
import { useContexts, useSAE, useVocabulary } from "../../api/queries";
import { place } from "../../components/place";
import { TokenText } from "../../components/Tokens";
import { activation, percent } from "../../format";
import { alone } from "../../tokens";
import { nodeName, nodePlace } from "./names";

const WAIT = 150; // ms on a node before it is asked for
const AROUND = 9; // tokens on either side of the strongest

interface Asked {
  node: GraphNode;
  element: HTMLElement;
}

/** The feature of any element with `data-feature` (a node's id), on hover and on focus. One for the page; Esc hides it. */
export function Preview({ nodes }: { nodes: readonly GraphNode[] }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  useEffect(() => {
    let timer = 0;
    let element: HTMLElement | null = null;
    function hide() {
      clearTimeout(timer);
      element = null;
      setAsked(null);
    }
    function show(event: Event) {
      const from = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-feature]") : null;
      if (from === element) return;
      hide();
      element = from;
      const node = nodes.find(({ id }) => id === from?.dataset["feature"]);
      if (from && node) timer = window.setTimeout(() => setAsked({ node, element: from }), WAIT);
    }
    const escape = (event: KeyboardEvent) => event.key === "Escape" && hide();
    addEventListener("pointerover", show);
    addEventListener("focusin", show);
    addEventListener("focusout", hide);
    addEventListener("keydown", escape);
    addEventListener("scroll", hide, { capture: true, passive: true });
    return () => {
      clearTimeout(timer);
      removeEventListener("pointerover", show);
      removeEventListener("focusin", show);
      removeEventListener("focusout", hide);
      removeEventListener("keydown", escape);
      removeEventListener("scroll", hide, { capture: true });
    };
  }, [nodes]);
  return asked && <Floating {...asked} />;
}

function Floating({ node, element }: Asked) {
  const box = useRef<HTMLDivElement>(null);
  useLayoutEffect(() => {
    if (box.current) void place(box.current, element, "bottom-start");
  });
  return (
    <div ref={box} role="tooltip" className="tip preview" style={{ visibility: "hidden" }}>
      <b>{nodeName(node)}</b> <span className="soft">{nodePlace(node)}</span>
      <p>{sizes(node)}</p>
      <TopContext node={node} />
    </div>
  );
}

/** `1.47 of 2.85 · on 0.72 % of tokens` */
function sizes({ activation: value, maximum, density }: GraphNode): string {
  const of = maximum === null ? "" : ` of ${activation(maximum)}`;
  return `${activation(value)}${of}${density === null ? "" : ` · on ${percent(density)} of tokens`}`;
}

/** Where a feature is strongest; nothing for one that the database doesn't have. */
export function TopContext({ node }: { node: GraphNode }) {
  const known = node.maximum !== null && node.sae !== null && node.index !== null;
  return known ? <Strongest sae={node.sae ?? ""} index={node.index ?? 0} maximum={node.maximum ?? 0} /> : null;
}

function Strongest({ sae, index, maximum }: { sae: string; index: number; maximum: number }) {
  const found = useContexts(sae, useSAE(sae).data?.analysis, index, "top");
  const vocabulary = useVocabulary(found.data?.vocabulary).data;
  const context = found.isPlaceholderData ? undefined : found.data?.contexts[0];
  if (found.error) return <p className="soft">{found.error.message}</p>;
  if (!context || !vocabulary) return <p className="top-context soft">…</p>;
  const { position, tokenIds, activations } = context;
  const part = (start: number, stop: number) => ({
    tokens: Array.from(tokenIds.subarray(Math.max(start, 0), stop), (id) => vocabulary[id] ?? `#${id}`),
    activations: activations.subarray(Math.max(start, 0), stop),
    maximum,
  });
  return (
    <p className="top-context" aria-label={`strongest at ${alone(vocabulary[tokenIds[position] ?? 0] ?? "")}`} role="note">
      <span className="left">
        <span>
          <TokenText {...part(position - AROUND, position)} />
        </span>
      </span>
      <TokenText {...part(position, position + 1)} peak={0} trimmed />
      <span className="right">
        <span>
          <TokenText {...part(position + 1, position + 1 + AROUND)} />
        </span>
      </span>
    </p>
  );
}
