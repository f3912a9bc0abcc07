/** What is looked at in a graph, in the address after `#`. */

export interface GraphState {
  /** The selected node's id, or `group:NAME`. */
  node: string | null;
  /** The other end of the edge that is split by head. */
  edge: string | null;
  /** Share of the influence that shown nodes hold; null for all that was kept. */
  keep: number | null;
  /** Edges below this share of what drives their target are left out. */
  least: number;
  errors: boolean;
  pinned: readonly string[];
  hidden: readonly string[];
  /** Whether the proof is open. */
  proof: boolean;
}

export const INITIAL: GraphState = {
  node: null,
  edge: null,
  keep: null,
  least: 0,
  errors: true,
  pinned: [],
  hidden: [],
  proof: false,
};

export function readGraphState(hash: string): GraphState {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  return {
    node: fields.get("node"),
    edge: fields.get("edge"),
    keep: shareOf(fields.get("keep")),
    least: shareOf(fields.get("least")) ?? INITIAL.least,
    errors: fields.get("errors") !== "hidden",
    pinned: [...new Set(fields.getAll("pin"))],
    hidden: [...new Set(fields.getAll("hide"))],
    proof: fields.has("proof"),
  };
}

export function writeGraphState(state: GraphState): string {
  const fields = new URLSearchParams();
  if (state.node !== null) fields.set("node", state.node);
  if (state.edge !== null) fields.set("edge", state.edge);
  if (state.keep !== null) fields.set("keep", String(state.keep));
  if (state.least !== INITIAL.least) fields.set("least", String(state.least));
  if (!state.errors) fields.set("errors", "hidden");
  for (const id of state.pinned) fields.append("pin", id);
  for (const id of state.hidden) fields.append("hide", id);
  if (state.proof) fields.set("proof", "");
  const written = fields.toString();
  return written && `#${written}`;
}

/** A share out of an address, from 0 to 1, or null. */
function shareOf(text: string | null): number | null {
  const value = Number(text ?? Number.NaN);
  return text !== "" && value >= 0 && value <= 1 ? value : null;
}

/** With it, or without where it was in. */
export const toggled = (ids: readonly string[], id: string): string[] =>
  ids.includes(id) ? ids.filter((each) => each !== id) : [...ids, id];

/** What is asked for on the page of all graphs: a prompt that is traced at once. */
export interface NewTrace {
  text: string;
  /** A model's run of transcoders, or the first there is. */
  run: string | null;
  /** Whether it starts by itself. */
  start: boolean;
}

export function readNewTrace(hash: string): NewTrace {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  return { text: fields.get("text") ?? "", run: fields.get("run"), start: fields.has("start") };
}

export function writeNewTrace({ text, run, start }: NewTrace): string {
  const fields = new URLSearchParams();
  if (text) fields.set("text", text);
  if (run !== null) fields.set("run", run);
  if (start) fields.set("start", "");
  const written = fields.toString();
  return written && `#${written}`;
}
