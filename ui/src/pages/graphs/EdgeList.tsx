import { useState } from "react";
import { count } from "../../format";
import type { Graph } from "./graph";
import { namesOf, tokenName } from "./names";
import { signed } from "./figures";
import { SplitByHead } from "./SplitByHead";
import type { Shown, ShownEdge } from "./view";

const FEW = 12;

interface EdgeListProps {
  title: string;
  about: string;
  unit: string;
  graph: Graph;
  view: Shown;
  edges: readonly ShownEdge[];
  /** Which end is listed. */
  end: "source" | "target";
  /** Of the largest edge of both lists, for the bars. */
  most: number;
  /** Id of the other end of the edge that is split by head. */
  open: string | null;
  onSelect: (node: number) => void;
  onSplit: (other: string | null) => void;
  /** The graph's name and id, where edges can be split. */
  splits: { name: string; graph: string } | null;
}

/** Edges into a node or out of it. A press goes to the other end; the value is split by head. */
export function EdgeList(props: EdgeListProps) {
  const { title, about, unit, graph, view, edges, end, most, open, onSelect, onSplit, splits } = props;
  const [whole, setWhole] = useState(false);
  const isOpen = (edge: ShownEdge) => view.nodes[edge[end]]?.key === open;
  const cut = !whole && edges.length > FEW && !edges.slice(FEW).some(isOpen);
  const rows = cut ? edges.slice(0, FEW) : edges;
  return (
    <section className="edges">
      <h2>
        {title}
        <span className="soft">
          {about}, {count(edges.length)} {edges.length === 1 ? "edge" : "edges"}
        </span>
        <small>{unit}</small>
      </h2>
      <ol>
        {rows.map((edge) => {
          const other = view.nodes[edge[end]];
          const node = graph.nodes[other?.members[0] ?? 0];
          const own = view.nodes[edge[end === "source" ? "target" : "source"]];
          if (!other || !node) return null;
          const named = namesOf(graph, other);
          const canSplit = splits !== null && !other.group && !own?.group;
          const value = signed(edge.weight);
          return (
            <li key={other.key}>
              <div className="edge">
                <button type="button" className="edge-end" onClick={() => onSelect(edge[end])} data-feature={node.sae === null || other.group ? undefined : node.id}>
                  <span className="soft">{named.place}</span>
                  <span className="label">
                    {named.name}
                    {node.kind !== "token" && node.kind !== "logit" && !other.group && node.position !== graph.tokens.length - 1 && (
                      <small>at {tokenName(graph.tokens[node.position] ?? "")}</small>
                    )}
                  </span>
                  <i className={edge.weight < 0 ? "negative" : "positive"} style={{ width: `${(100 * Math.abs(edge.weight)) / most}%` }} />
                </button>
                {canSplit ? (
                  <button
                    type="button"
                    className="edge-value"
                    aria-expanded={isOpen(edge)}
                    aria-label={`${value}, split by head`}
                    data-says="through which heads"
                    onClick={() => onSplit(isOpen(edge) ? null : other.key)}
                  >
                    {value}
                  </button>
                ) : (
                  <span className="edge-value">{value}</span>
                )}
              </div>
              {canSplit && isOpen(edge) && own && (
                <SplitByHead {...splits} source={end === "source" ? other.key : own.key} target={end === "source" ? own.key : other.key} />
              )}
            </li>
          );
        })}
      </ol>
      {edges.length === 0 && <p className="soft small">none is shown</p>}
      {cut && (
        <button type="button" className="link" onClick={() => setWhole(true)}>
          {count(edges.length - FEW)} more
        </button>
      )}
    </section>
  );
}
