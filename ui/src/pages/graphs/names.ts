/** What nodes are called: on a chip, in a list, to ears. */
import type { GraphNode } from "../../api/graphs";
import { activation, percent, share } from "../../format";
import { alone, isSpecial } from "../../tokens";
import { isTarget, TOKENS, type Graph } from "./graph";
import type { ShownNode } from "./view";

/** `␣piano`; a special token is ⊢ */
export const tokenName = (token: string) => (isSpecial(token) ? "⊢" : alone(token));

const LABEL_TOKENS = 2;

/** `␣of ␣in`, an explanation, `error`, a token. */
export function nodeName(node: GraphNode): string {
  if (node.kind === "error") return "error";
  if (node.kind === "token" || node.kind === "logit") return tokenName(node.label ?? "");
  if (node.label_tokens.length > 0) return node.label_tokens.slice(0, LABEL_TOKENS).map(alone).join(" ");
  return node.label ?? "feature";
}

/** Beside the name: a feature's number, a token's probability. */
export function nodeNumber(node: GraphNode): string {
  if (node.index !== null && node.kind !== "logit" && node.kind !== "token") return String(node.index);
  return node.probability === null ? "" : share(node.probability);
}

/** `L2 1022`, `token`, `output` */
export function nodePlace(node: GraphNode): string {
  if (node.kind === "logit") return "output";
  if (node.kind === "token" || node.layer === TOKENS) return "token";
  return node.kind === "error" ? `L${node.layer}` : `L${node.layer} ${node.index ?? ""}`;
}

/** To ears, after the name: what eyes see by place and color. */
export function nodeSays(node: GraphNode, tokens: readonly string[]): string {
  const at = `at ${tokenName(tokens[node.position] ?? "")}`;
  if (node.kind === "logit") return `output, ${percent(node.probability)}`;
  if (node.kind === "token") return "token";
  if (node.kind === "error") return `what the transcoder of layer ${node.layer} misses ${at}`;
  const of = node.maximum === null ? "" : ` of ${activation(node.maximum)}`;
  const what = isTarget(node) ? "explained feature" : "feature";
  return `${what} ${node.index ?? ""} of layer ${node.layer} ${at}, activation ${activation(node.activation)}${of}`;
}

export interface Named {
  name: string;
  number: string;
  place: string;
  says: string;
}

/** What is shown: a node of the graph, or a group. */
export function namesOf(graph: Graph, shown: ShownNode): Named {
  const node = graph.nodes[shown.members[0] ?? 0];
  if (shown.group || !node) {
    const many = shown.members.length;
    return { name: shown.group?.name ?? "", number: String(many), place: "group", says: `group of ${many}` };
  }
  return { name: nodeName(node), number: nodeNumber(node), place: nodePlace(node), says: nodeSays(node, graph.tokens) };
}

/** Of a monospaced character and of a digit beside it, in pixels. */
const [CHARACTER, DIGIT, AROUND, MOST] = [7.3, 6.4, 17, 150];

/** About how wide a node is drawn. */
export const chipWidth = ({ name, number }: Named) =>
  Math.min(AROUND + CHARACTER * [...name].length + (number ? 5 + DIGIT * number.length : 0), MOST);
