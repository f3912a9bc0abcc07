/** Groups of nodes: a name for several that are one thing. A node is in one at most. */
import type { NamedGroup } from "../../api/graphs";

/** With the nodes in the group of that name, made where it isn't there, and in no other. */
export function grouped(groups: readonly NamedGroup[], name: string, nodes: readonly string[]): NamedGroup[] {
  const rest = ungrouped(groups, nodes);
  const known = rest.find((each) => each.name === name);
  const next = { name, nodes: [...(known?.nodes ?? []), ...nodes] };
  return known ? rest.map((each) => (each === known ? next : each)) : [...rest, next];
}

/** Without the nodes; a group that loses its last is gone. */
export const ungrouped = (groups: readonly NamedGroup[], nodes: readonly string[]): NamedGroup[] =>
  groups.map((each) => ({ ...each, nodes: each.nodes.filter((id) => !nodes.includes(id)) })).filter((each) => each.nodes.length > 0);

export const without = (groups: readonly NamedGroup[], name: string): NamedGroup[] => groups.filter((each) => each.name !== name);

/** Another name for a group; null where one has it already. */
export function renamed(groups: readonly NamedGroup[], from: string, to: string): NamedGroup[] | null {
  if (groups.some((each) => each.name === to && to !== from)) return null;
  return groups.map((each) => (each.name === from ? { ...each, name: to } : each));
}
