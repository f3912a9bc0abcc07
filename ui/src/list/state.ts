/** Which features a list shows and in which order; all of it is in the address. */
import { numberColumn, NUMBER_COLUMNS } from "./columns";

export type Kind = "regular" | "dense" | "dead";
export const KINDS: readonly Kind[] = ["regular", "dense", "dead"];

export interface Range {
  /** Inclusive; infinite where there is no bound. */
  low: number;
  high: number;
}

export interface ListState {
  sort: string;
  descending: boolean;
  kinds: readonly Kind[];
  ranges: Readonly<Record<string, Range>>;
  /** A token as text: features that fire on it, or promote it. */
  fires: string;
  promotes: string;
  /** In the label or in what was said. */
  text: string;
  explained: boolean;
  noted: boolean;
  /** Id of a list of features. */
  list: string;
}

export const INITIAL: ListState = {
  sort: "maximum",
  descending: true,
  kinds: [],
  ranges: {},
  fires: "",
  promotes: "",
  text: "",
  explained: false,
  noted: false,
  list: "",
};

export function readList(parameters: URLSearchParams): ListState {
  const sort = parameters.get("sort") ?? INITIAL.sort;
  const known = sort === "index" || numberColumn(sort) !== undefined;
  const order = parameters.get("order");
  const ranges: Record<string, Range> = {};
  for (const { key } of NUMBER_COLUMNS) {
    const range = readRange(parameters.get(key));
    if (range) ranges[key] = range;
  }
  const kinds = (parameters.get("class") ?? "").split("+");
  return {
    sort: known ? sort : INITIAL.sort,
    descending: order === null ? sort !== "index" : order !== "ascending",
    kinds: KINDS.filter((kind) => kinds.includes(kind)),
    ranges,
    fires: parameters.get("fires") ?? "",
    promotes: parameters.get("promotes") ?? "",
    text: parameters.get("text") ?? "",
    explained: parameters.has("explained"),
    noted: parameters.has("noted"),
    list: parameters.get("list") ?? "",
  };
}

/** The parameters of an address, without what is as at first. */
export function writeList(state: ListState): URLSearchParams {
  const parameters = new URLSearchParams();
  if (state.sort !== INITIAL.sort) parameters.set("sort", state.sort);
  if (state.descending !== (state.sort !== "index")) {
    parameters.set("order", state.descending ? "descending" : "ascending");
  }
  if (state.kinds.length > 0) parameters.set("class", state.kinds.join("+"));
  for (const [key, { low, high }] of Object.entries(state.ranges)) {
    parameters.set(key, `${Number.isFinite(low) ? low : ""}~${Number.isFinite(high) ? high : ""}`);
  }
  for (const key of ["fires", "promotes", "text", "list"] as const) {
    if (state[key] !== "") parameters.set(key, state[key]);
  }
  if (state.explained) parameters.set("explained", "");
  if (state.noted) parameters.set("noted", "");
  return parameters;
}

/** `0.0014~0.013`, with either side open. */
function readRange(text: string | null): Range | undefined {
  const [low, high, more] = (text ?? "").split("~");
  if (text === null || high === undefined || more !== undefined) return undefined;
  const range = {
    low: low === "" ? -Infinity : Number(low),
    high: high === "" ? Infinity : Number(high),
  };
  return Number.isNaN(range.low) || Number.isNaN(range.high) ? undefined : range;
}

/** The state with a range set, or taken off where it has no bound. */
export function withRange(state: ListState, key: string, range: Range | undefined): ListState {
  const { [key]: _, ...others } = state.ranges;
  const open = range === undefined || (range.low === -Infinity && range.high === Infinity);
  return { ...state, ranges: open ? others : { ...others, [key]: range } };
}

/** A click on a column's head: sorts by it, then turns the order. */
export function sortedBy(state: ListState, key: string): ListState {
  if (state.sort === key) return { ...state, descending: !state.descending };
  return { ...state, sort: key, descending: key !== "index" };
}
