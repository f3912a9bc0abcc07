import type { RefObject } from "react";
import { Link } from "react-router";
import type { About } from "../../api/client";
import type { GraphFacts, GraphNode, NamedGroup } from "../../api/graphs";
import { activation, count, figure, percent } from "../../format";
import { featurePath } from "../../paths";
import { EdgeList } from "./EdgeList";
import { isTarget, type Graph } from "./graph";
import { GroupMenu } from "./GroupMenu";
import { GroupPanel } from "./GroupPanel";
import { Intervene } from "./Intervene";
import { nodeName, tokenName } from "./names";
import { TopContext } from "./Preview";
import { edgesOf, type Shown } from "./view";

interface NodePanelProps {
  facts: GraphFacts;
  graph: Graph;
  view: Shown;
  /** Number among the shown nodes. */
  selected: number;
  about: About | undefined;
  pinned: readonly string[];
  edge: string | null;
  groupOpener: RefObject<HTMLButtonElement | null>;
  groupError: Error | null;
  onSelect: (node: number) => void;
  onSplit: (other: string | null) => void;
  onPin: () => void;
  onHide: () => void;
  onGroup: (name: string, done: () => void) => void;
  /** Keeps other groups, and then selects another node. */
  onGroups: (groups: readonly NamedGroup[], select: string | null) => void;
}

/** The selected node: what it is, what drives it, what it drives, what can be done with it. */
export function NodePanel(props: NodePanelProps) {
  const { facts, graph, view, selected, about, pinned, edge, groupOpener, groupError, onSelect, onSplit, onPin, onHide, onGroup, onGroups } = props;
  const shown = view.nodes[selected];
  const node = graph.nodes[shown?.members[0] ?? 0];
  if (!shown || !node) return null;
  const { into, out } = edgesOf(view, selected);
  const most = Math.max(...[...into, ...out].map(({ weight }) => Math.abs(weight)), Number.MIN_VALUE);
  const lists = {
    graph,
    view,
    most,
    open: edge,
    onSelect,
    onSplit,
    splits: about?.asks_model ? { name: facts.name, graph: facts.graph } : null,
  };
  const others = pinned.filter((id) => id !== shown.key && graph.nodes.some((each) => each.id === id));
  const isGroup = shown.group !== null;
  const canChange = shown.members.every((each) => ["feature", "error"].includes(graph.nodes[each]?.kind ?? ""));
  const analyzed = node.kind === "feature" || node.kind === "target" ? facts.transcoders[node.layer]?.analyzed : false;
  return (
    <>
      {shown.group ? (
        <GroupPanel key={shown.group.name} group={shown.group} groups={facts.groups} graph={graph} onGroups={onGroups} />
      ) : (
        <OneNode node={node} graph={graph} />
      )}
      <div className="chips actions">
        {!isGroup && analyzed && node.sae !== null && node.index !== null && (
          <Link className="button" to={featurePath(node.sae, node.index)}>
            open feature
          </Link>
        )}
        <button type="button" className="button" aria-pressed={pinned.includes(shown.key)} onClick={onPin}>
          {pinned.includes(shown.key) ? "unpin" : "pin"}
        </button>
        <button type="button" className="button" onClick={onHide}>
          hide
        </button>
        {!isGroup && <GroupMenu groups={facts.groups} count={others.length + 1} opener={groupOpener} error={groupError} onGroup={onGroup} />}
      </div>
      {node.kind !== "token" && node.kind !== "error" && (
        <EdgeList {...lists} title="In" about="what drives it" unit={isGroup ? "added up over its nodes" : node.kind === "logit" ? "change of its logit" : "change of its value"} edges={into} end="source" />
      )}
      {!isTarget(node) && <EdgeList {...lists} title="Out" about="what it drives" unit={into.length > 0 ? "" : "change of their values"} edges={out} end="target" />}
      {canChange && <Intervene key={shown.key} name={facts.name} graphId={facts.graph} graph={graph} about={about} edit={shown.group ? { group: shown.group.name } : { node: shown.key }} />}
    </>
  );
}

function OneNode({ node, graph }: { node: GraphNode; graph: Graph }) {
  const at = tokenName(graph.tokens[node.position] ?? "");
  const facts: [string, string][] = [];
  if (node.activation !== null) facts.push([activation(node.activation), node.maximum === null ? "activation" : `of ${activation(node.maximum)}`]);
  if (node.density !== null) facts.push([percent(node.density), "of tokens"]);
  if (node.probability !== null) facts.push([percent(node.probability), "probability"]);
  if (node.kind === "logit") facts.push([figure(node.value), "logit, less the mean of all"]);
  if (node.influence !== null) facts.push([percent(node.influence), "influence"]);
  return (
    <>
      <h2 className="node-title">
        <b className={node.explained ? undefined : "code"}>{nodeName(node)}</b>
        <span className="soft">
          {aboutOf(node)} <code>{at}</code>
        </span>
      </h2>
      <ul className="facts">
        {facts.map(([value, what]) => (
          <li key={what}>
            <b>{value}</b>
            {what}
          </li>
        ))}
      </ul>
      <TopContext node={node} />
      {node.sae !== null && node.maximum === null && <p className="soft small">{node.sae} is not analyzed here, so its features have no page.</p>}
    </>
  );
}

function aboutOf({ kind, layer, index }: GraphNode): string {
  if (kind === "error") return `what the transcoder of layer ${layer} misses at`;
  if (kind === "token") return `token ${count(index ?? 0)} at`;
  return kind === "logit" ? "possible next token after" : `layer ${layer} · feature ${index ?? ""} · at`;
}
