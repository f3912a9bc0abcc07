/** The state of the table of features, which lives in the address. */
import type { TableQuery } from "./api/client";

export const PAGE = 25;

export interface TableState {
  sort: NonNullable<TableQuery["sort"]>;
  order: NonNullable<TableQuery["order"]>;
  filter: NonNullable<TableQuery["filter"]>;
  page: number;
}

const INITIAL: TableState = { sort: "maximum", order: "descending", filter: "regular", page: 1 };

const SORTS = ["index", "density", "maximum", "mean"] as const;
const ORDERS = ["ascending", "descending"] as const;
const FILTERS = ["regular", "dense", "dead", "all"] as const;

export function readTable(parameters: URLSearchParams): TableState {
  const oneOf = <T extends string>(key: keyof TableState, allowed: readonly T[], otherwise: T) =>
    allowed.find((value) => value === parameters.get(key)) ?? otherwise;
  const page = Number(parameters.get("page") ?? 1);
  return {
    sort: oneOf("sort", SORTS, INITIAL.sort),
    order: oneOf("order", ORDERS, INITIAL.order),
    filter: oneOf("filter", FILTERS, INITIAL.filter),
    page: Number.isSafeInteger(page) && page > 0 && page < 1e7 ? page : 1,
  };
}

/** The query of an address, without what is as at first. */
export function writeTable(state: TableState): string {
  const changed = Object.entries(state).filter(
    ([key, value]) => value !== INITIAL[key as keyof TableState],
  );
  const query = new URLSearchParams(changed.map(([key, value]) => [key, String(value)]));
  return `?${query}`;
}
