/** Addresses of the graphs' pages. */
import { writeGraphState, writeNewTrace, INITIAL } from "./state";

/** A graph, with a node selected where one is named. */
export const graphPath = (name: string, node: string | null = null) =>
  `/graphs/${encodeURIComponent(name)}${writeGraphState({ ...INITIAL, node })}`;

/** Traces a prompt at once. */
export const tracePath = (text: string) => `/graphs${writeNewTrace({ text, run: null, start: true })}`;
