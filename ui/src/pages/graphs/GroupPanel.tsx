import { useState } from "react";
import { Link } from "react-router";
import type { NamedGroup } from "../../api/graphs";
import { featurePath } from "../../paths";
import type { Graph } from "./graph";
import { renamed, ungrouped, without } from "./groups";
import { nodeName, nodePlace } from "./names";
import { groupKey } from "./view";

interface GroupPanelProps {
  group: NamedGroup;
  groups: readonly NamedGroup[];
  graph: Graph;
  /** Keeps other groups, and then selects another node. */
  onGroups: (groups: readonly NamedGroup[], select: string | null) => void;
}

/** A group: its name, its nodes, the way to undo it. */
export function GroupPanel({ group, groups, graph, onGroups }: GroupPanelProps) {
  const [problem, setProblem] = useState("");
  function rename(text: string) {
    const name = text.trim();
    if (name === "" || name === group.name) return;
    const next = renamed(groups, group.name, name);
    if (next) onGroups(next, groupKey(name));
    else setProblem(`another group is called ${name}`);
  }
  return (
    <>
      <h2 className="node-title">
        <input
          className="field"
          aria-label="Name of the group"
          defaultValue={group.name}
          maxLength={200}
          onBlur={(event) => rename(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Enter" && event.currentTarget.blur()}
        />
        <span className="soft">group of {group.nodes.length}</span>
      </h2>
      {problem && <p className="failed">{problem}</p>}
      <ul className="members">
        {group.nodes.map((id) => {
          const node = graph.nodes.find((each) => each.id === id);
          if (!node) return null;
          const title = (
            <>
              <span className="soft">{nodePlace(node)}</span> <code>{nodeName(node)}</code>
            </>
          );
          return (
            <li key={id}>
              {node.sae !== null && node.index !== null && node.maximum !== null ? <Link to={featurePath(node.sae, node.index)}>{title}</Link> : title}
              <button
                type="button"
                className="icon"
                aria-label={`Take ${nodePlace(node)} ${nodeName(node)} out of the group`}
                onClick={() => onGroups(ungrouped(groups, [id]), group.nodes.length === 1 ? id : groupKey(group.name))}
              >
                ×
              </button>
            </li>
          );
        })}
      </ul>
      <button type="button" className="link" onClick={() => onGroups(without(groups, group.name), group.nodes[0] ?? null)}>
        undo the group
      </button>
    </>
  );
}
