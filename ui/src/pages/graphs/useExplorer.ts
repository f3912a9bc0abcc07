import { useCallback, useMemo, useRef } from "react";
import { useNavigate } from "react-router";
import { useSaveGroups, type EdgeColumns, type GraphFacts, type GraphNode, type NamedGroup } from "../../api/graphs";
import { useHash } from "../../components/lab/hash";
import { useKeys } from "../../keys";
import { announce } from "../../page";
import { featurePath } from "../../paths";
import { graphOf, isTarget, type Graph } from "./graph";
import { focusNode } from "./GraphGrid";
import { grouped } from "./groups";
import { readingOrder, rowsOf } from "./layout";
import { readGraphState, toggled, writeGraphState } from "./state";
import { groupKey, influenceOrder, shown, type Choice, type Shown } from "./view";

/** What is chosen in a graph, what of it is shown, and what can be done: by hand, by keys, by the address. */
export function useExplorer(facts: GraphFacts, nodes: GraphNode[], edges: EdgeColumns) {
  const [state, change] = useHash(readGraphState, writeGraphState);
  const navigate = useNavigate();
  const save = useSaveGroups(facts);
  const area = useRef<HTMLDivElement>(null);
  const groupOpener = useRef<HTMLButtonElement>(null);
  const { tokens, layers, groups } = facts;
  const graph = useMemo(() => graphOf({ tokens, layers }, nodes, edges), [tokens, layers, nodes, edges]);
  const { keep, least, errors, hidden, pinned, node } = state;
  const kept = useMemo(() => keptShare(nodes), [nodes]);
  // As text: the address is read anew each time, and what didn't change is not worked out again.
  const pinnedText = JSON.stringify(pinned);
  const choiceText = JSON.stringify({ keep: keep ?? 1, least, errors, hidden, pinned: node === null ? pinned : [...pinned, node] });
  const view = useMemo(() => shown(graph, { ...(JSON.parse(choiceText) as Choice), groups }), [graph, choiceText, groups]);
  const rows = useMemo(() => rowsOf(graph, view), [graph, view]);
  const pins = useMemo(() => new Set(JSON.parse(pinnedText) as string[]), [pinnedText]);
  const selected = useMemo(() => selectedOf(graph, view, node), [graph, view, node]);
  const own = selected === null ? undefined : view.nodes[selected];

  const select = useCallback(
    (number: number) => {
      const key = view.nodes[number]?.key;
      if (key !== undefined && key !== node) change({ node: key, edge: null }, "push");
    },
    [change, node, view],
  );
  const selectKey = (key: string) => change({ node: key, edge: null }, "push");
  const open = (number: number) => {
    const each = view.nodes[number];
    const chosen = graph.nodes[each?.members[0] ?? -1];
    if (!each?.group && chosen?.sae != null && chosen.index !== null && facts.transcoders[chosen.layer]?.analyzed)
      void navigate(featurePath(chosen.sae, chosen.index));
    else announce("it has no feature page");
  };
  const walk = (step: number) => {
    const order = readingOrder(rows);
    const next = order[Math.min(Math.max(order.indexOf(selected ?? -1) + step, 0), order.length - 1)];
    if (next === undefined) return;
    select(next);
    focusNode(area.current, view.nodes[next]?.key);
  };
  const pin = () => own && change({ pinned: toggled(pinned, own.key) });
  const hide = () => {
    if (!own || selected === null) return;
    const order = readingOrder(rows);
    const next = order[order.indexOf(selected) + 1] ?? order[order.indexOf(selected) - 1];
    if (area.current?.contains(document.activeElement)) focusNode(area.current, view.nodes[next ?? -1]?.key);
    change({ hidden: [...hidden, own.key], pinned: pinned.filter((id) => id !== own.key), node: view.nodes[next ?? -1]?.key ?? null, edge: null }, "push");
    announce("hidden");
  };
  const saveGroups = (next: readonly NamedGroup[], select_: string | null, done?: () => void) =>
    save.mutate(next, {
      onSuccess: () => {
        change({ node: select_, edge: null });
        announce("Kept");
        done?.();
      },
    });
  const group = (name: string, done: () => void) => {
    if (!own || own.group) return;
    const ids = [own.key, ...pinned.filter((id) => id !== own.key && graph.nodes.some((each) => each.id === id))];
    saveGroups(grouped(groups, name, ids), groupKey(name), () => {
      change({ pinned: pinned.filter((id) => !ids.includes(id)) });
      done();
    });
  };
  const finer = (step: number) => {
    const next = Math.min(Math.max((keep ?? kept) + step, 0.05), 1);
    change({ keep: next >= kept ? null : Math.round(next * 100) / 100 });
  };
  useKeys("Graph", [
    { keys: ["j", "k"], does: "next, previous node", run: (key) => walk(key === "j" ? 1 : -1) },
    { keys: ["o"], does: "open the feature's page", run: () => selected !== null && open(selected) },
    { keys: ["p"], does: "pin the node, or let it go", run: () => void pin() },
    { keys: ["h"], does: "hide the node", run: hide },
    {
      keys: ["g"],
      does: "put it into a group",
      run: () => {
        groupOpener.current?.focus(); // where the focus goes back to
        groupOpener.current?.click();
      },
    },
    { keys: ["[", "]"], does: "fewer, more nodes", run: (key) => finer(key === "[" ? -0.05 : 0.05) },
    { keys: ["e"], does: "hide or show errors", run: () => change({ errors: !errors }) },
    { keys: ["b"], does: "how far to believe it", run: () => change({ proof: !state.proof }) },
    { keys: ["Escape"], does: "back to the first output", run: () => change({ node: null, edge: null }) },
  ]);
  return {
    state,
    change,
    graph,
    view,
    kept,
    pins,
    selected,
    own,
    area,
    groupOpener,
    select,
    selectKey,
    open,
    pin,
    hide,
    group,
    saveGroups,
    groupError: save.error,
  };
}

/** Share of the influence that the graph's features and errors hold: what a threshold can go down from. */
const keptShare = (nodes: readonly GraphNode[]): number =>
  Math.max(...nodes.map(({ kind, cumulative }) => (kind === "token" ? 0 : (cumulative ?? 0))), 0);

/** What is named, else the likeliest of what the graph explains. */
function selectedOf(graph: Graph, view: Shown, key: string | null): number | null {
  const named = view.nodes.findIndex((each) => each.key === key);
  if (named !== -1) return named;
  const targets = [...graph.nodes.keys()].filter((number) => {
    const node = graph.nodes[number];
    return node !== undefined && isTarget(node);
  });
  const [best] = targets.toSorted((a, b) => influenceOrder(graph, a, b));
  const first = view.nodes.findIndex(({ members }) => best !== undefined && members.includes(best));
  return first === -1 ? null : first;
}
