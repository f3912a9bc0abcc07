import { useLayoutEffect, useMemo, useRef, type CSSProperties, type KeyboardEvent } from "react";
import type { GraphNode } from "../../api/graphs";
import { useSize } from "../../components/useSize";
import { opacity } from "../../tokens";
import type { Graph } from "./graph";
import { columnWidths, curve, neighbor, rowName, rowsOf, type Direction } from "./layout";
import { chipWidth, namesOf, tokenName } from "./names";
import { drawnEdges, type Shown, type ShownEdge } from "./view";

const ARROWS: Record<string, Direction> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };
const NAME = 64; // px of the rows' names
const AROUND_TOKEN = 16;

interface GraphGridProps {
  graph: Graph;
  view: Shown;
  /** Number among the shown nodes. */
  selected: number | null;
  pinned: ReadonlySet<string>;
  onSelect: (node: number) => void;
  onOpen: (node: number) => void;
}

/** Tokens across, layers up. Lines are the strongest edges of the selected node. One stop of the Tab key. */
export function GraphGrid({ graph, view, selected, pinned, onSelect, onOpen }: GraphGridProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const frame = useRef<HTMLDivElement>(null);
  const { width } = useSize(scroller);
  const rows = useMemo(() => rowsOf(graph, view), [graph, view]);
  const names = useMemo(() => view.nodes.map((each) => namesOf(graph, each)), [graph, view]);
  const columns = useMemo(() => {
    const tokens = graph.tokens.map((token) => AROUND_TOKEN + 7.3 * [...tokenName(token.trim() || token)].length);
    const widthOf = (node: number) => (names[node] ? chipWidth(names[node]) : 0);
    return columnWidths(rows, widthOf, tokens, width - NAME);
  }, [graph, names, rows, width]);
  const drawn = useMemo(() => drawnEdges(view, selected, pinned), [view, selected, pinned]);
  const near = useMemo(() => {
    if (selected === null) return null;
    const found = new Set([selected]);
    for (const { source, target } of view.edges) {
      if (source === selected) found.add(target);
      if (target === selected) found.add(source);
    }
    return found;
  }, [view, selected]);
  const most = useMemo(() => Math.max(...graph.nodes.map((each) => (each.kind === "token" ? (each.influence ?? 0) : 0)), 0), [graph]);
  const stop = selected ?? rows.flatMap(({ cells }) => cells.flat())[0];

  function press(event: KeyboardEvent<HTMLElement>) {
    const key = (event.target as HTMLElement).closest<HTMLElement>("[data-node]")?.dataset["node"];
    const at = view.nodes.findIndex((each) => each.key === key);
    if (at === -1 || event.ctrlKey || event.altKey || event.metaKey) return;
    const direction = ARROWS[event.key];
    if (direction) {
      event.preventDefault();
      const next = neighbor(rows, at, direction);
      onSelect(next);
      focusNode(event.currentTarget, view.nodes[next]?.key);
    } else if (event.key === "Enter" && at === selected) {
      event.preventDefault();
      onOpen(at);
    }
  }

  return (
    <div ref={scroller} className="graph-scroll">
      {/* Arrow keys go from node to node; each is a button by itself. */}
      {/* oxlint-disable-next-line jsx-a11y/no-static-element-interactions */}
      <div ref={frame} className="graph-rows" style={{ "--columns": columns.map((each) => `${Math.round(each)}px`).join(" ") } as CSSProperties} onKeyDown={press}>
        {rows.map(({ layer, cells }) => (
          <div key={layer} className={layer === -1 ? "layer tokens" : "layer"} role="group" aria-label={rowName(layer, graph.layers)}>
            <h3 aria-hidden="true">{rowName(layer, graph.layers)}</h3>
            {cells.map(
              (cell, position) =>
                cell.length > 0 && (
                  // oxlint-disable-next-line react/no-array-index-key -- a cell is its place
                  <ul key={position} className="cell" style={{ gridColumn: position + 2 }} aria-label={`at ${tokenName(graph.tokens[position] ?? "")}`}>
                    {cell.map((number) => {
                      const shown = view.nodes[number];
                      const node = graph.nodes[shown?.members[0] ?? 0];
                      const named = names[number];
                      if (!shown || !node || !named) return null;
                      const alpha = shown.group ? 0 : shade(node, most);
                      const isFar = near !== null && !near.has(number);
                      return (
                        <li key={shown.key}>
                          <button
                            type="button"
                            className={`node ${shown.group ? "group" : node.kind}${isFar ? " far" : ""}${pinned.has(shown.key) ? " pinned" : ""}`}
                            style={alpha > 0 ? ({ "--alpha": alpha.toFixed(3) } as CSSProperties) : undefined}
                            data-node={shown.key}
                            aria-pressed={number === selected}
                            tabIndex={number === stop ? 0 : -1}
                            onClick={() => onSelect(number)}
                            onDoubleClick={() => onOpen(number)}
                            data-feature={node.sae === null || shown.group ? undefined : node.id}
                          >
                            <span className="node-name">{node.kind === "token" && !shown.group ? tokenName(graph.tokens[node.position]?.trim() || " ") : named.name}</span>
                            {named.number && <small>{named.number}</small>}
                            <span className="heard">
                              , {named.says}
                              {pinned.has(shown.key) && ", pinned"}
                            </span>
                          </button>
                        </li>
                      );
                    })}
                  </ul>
                ),
            )}
          </div>
        ))}
        <Lines frame={frame} edges={drawn} view={view} />
      </div>
    </div>
  );
}

/** Puts the focus on a node, for keys that go from one to another. */
export function focusNode(within: ParentNode | null, key: string | undefined): void {
  if (key !== undefined) within?.querySelector<HTMLElement>(`[data-node="${CSS.escape(key)}"]`)?.focus();
}

/** From 0 to 1: activation over the feature's maximum, an output's probability, a token's influence. */
function shade(node: GraphNode, mostOfTokens: number): number {
  if (node.kind === "logit") return Math.min(node.probability ?? 0, 1);
  if (node.kind === "token") return mostOfTokens > 0 ? (node.influence ?? 0) / mostOfTokens : 0;
  return opacity(node.activation ?? 0, node.maximum ?? 0);
}

interface LinesProps {
  frame: { current: HTMLElement | null };
  edges: readonly ShownEdge[];
  view: Shown;
}

/** Drawn after each change between where the nodes then stand. */
function Lines({ frame, edges, view }: LinesProps) {
  const svg = useRef<SVGSVGElement>(null);
  useSize(frame);
  const most = Math.max(...edges.map(({ weight }) => Math.abs(weight)), Number.MIN_VALUE);
  const keyOf = (number: number) => view.nodes[number]?.key ?? "";
  useLayoutEffect(() => {
    const within = frame.current?.getBoundingClientRect();
    const boxOf = (key: string | undefined) => {
      const box = frame.current?.querySelector(`[data-node="${CSS.escape(key ?? "")}"]`)?.getBoundingClientRect();
      return box && within && { left: box.left - within.left, top: box.top - within.top, width: box.width, height: box.height };
    };
    for (const path of svg.current?.children ?? []) {
      const { source, target } = (path as SVGPathElement).dataset;
      const [from, to] = [boxOf(source), boxOf(target)];
      path.setAttribute("d", from && to ? curve(from, to) : "");
    }
  });
  return (
    <svg ref={svg} className="lines" aria-hidden="true">
      {edges.map(({ source, target, weight }) => (
        <path
          key={`${source} ${target}`}
          data-source={keyOf(source)}
          data-target={keyOf(target)}
          className={weight < 0 ? "negative" : "positive"}
          strokeWidth={1 + (3 * Math.abs(weight)) / most}
        />
      ))}
    </svg>
  );
}
