/** Where nodes stand: tokens across, layers up, what is explained on top. */
import { isTarget, TOKENS, type Graph } from "./graph";
import { influenceOrder, type Shown } from "./view";

export interface Row {
  /** A layer; `TOKENS` below, the number of layers on top. */
  layer: number;
  /** Numbers among the shown nodes by position, the most influential first. */
  cells: number[][];
}

/** From the top down. Layers without a node stay: the gap says that nothing there matters. */
export function rowsOf(graph: Graph, view: Shown): Row[] {
  const rows = Array.from({ length: graph.layers + 2 }, (_, at) => ({
    layer: graph.layers - at,
    cells: graph.tokens.map((): number[] => []),
  }));
  const first = (number: number) => view.nodes[number]?.members[0] ?? 0;
  for (const number of view.nodes.keys()) {
    const node = graph.nodes[first(number)];
    if (!node) continue;
    const layer = isTarget(node) ? graph.layers : node.layer;
    rows[graph.layers - layer]?.cells[node.position]?.push(number);
  }
  for (const { cells } of rows)
    for (const cell of cells) cell.sort((a, b) => influenceOrder(graph, first(a), first(b)));
  return rows;
}

export const rowName = (layer: number, layers: number) =>
  layer === TOKENS ? "token" : layer === layers ? "output" : `layer ${layer}`;

const GAP = 4;
const LEAST = 22;

/**
 * Width of each position's column in pixels: as wide as what stands there needs, in up to four
 * nodes a line; what is left of `available` goes to those that hold more, else to all alike.
 */
export function columnWidths(
  rows: readonly Row[],
  widthOf: (node: number) => number,
  tokenWidths: readonly number[],
  available: number,
): number[] {
  const upper = rows.filter(({ layer }) => layer !== TOKENS);
  const wanted = tokenWidths.map((token, position) => {
    let [least, ideal] = [Math.max(token, LEAST), Math.max(token, LEAST)];
    for (const { cells } of upper) {
      const widths = (cells[position] ?? []).map((node) => widthOf(node) + GAP);
      if (widths.length === 0) continue;
      const perLine = Math.min(Math.ceil(Math.sqrt(widths.length)), 4);
      const mean = widths.reduce((sum, each) => sum + each, 0) / widths.length;
      least = Math.max(least, ...widths);
      ideal = Math.max(ideal, ...widths, mean * perLine);
    }
    return { least, ideal };
  });
  const sum = (which: "least" | "ideal") => wanted.reduce((total, each) => total + each[which], 0);
  const [least, ideal] = [sum("least"), sum("ideal")];
  if (ideal > available && ideal > least) {
    // between the narrowest and the wanted, as far as there is room
    const part = Math.max(0, (available - least) / (ideal - least));
    return wanted.map((each) => each.least + part * (each.ideal - each.least));
  }
  const room = Math.max(0, available - ideal);
  const crowded = wanted.map((each) => each.ideal - each.least);
  const all = crowded.reduce((total, each) => total + each, 0);
  return wanted.map((each, i) => {
    const grown = all > 0 ? (room / 2) * ((crowded[i] ?? 0) / all) : 0;
    const even = (all > 0 ? room / 2 : room) / wanted.length;
    return each.ideal + grown + even;
  });
}

export type Direction = "left" | "right" | "up" | "down";

/** The node that an arrow key goes to: along the row, or to the nearest in the next row that has one. */
export function neighbor(rows: readonly Row[], from: number, direction: Direction): number {
  const row = rows.findIndex(({ cells }) => cells.some((cell) => cell.includes(from)));
  const cells = rows[row]?.cells;
  if (!cells) return from;
  if (direction === "left" || direction === "right") {
    const line = cells.flat();
    return line[line.indexOf(from) + (direction === "left" ? -1 : 1)] ?? from;
  }
  const position = cells.findIndex((cell) => cell.includes(from));
  const place = cells[position]?.indexOf(from) ?? 0;
  const step = direction === "up" ? -1 : 1;
  for (let next = row + step; rows[next] !== undefined; next += step) {
    const filled = (rows[next]?.cells ?? []).map((cell, at) => ({ cell, far: Math.abs(at - position) }));
    const [nearest] = filled.filter(({ cell }) => cell.length > 0).toSorted((a, b) => a.far - b.far);
    if (nearest) return nearest.cell[nearest.far === 0 ? Math.min(place, nearest.cell.length - 1) : 0] ?? from;
  }
  return from;
}

/** Nodes from the top to the bottom and from the first token to the last, as a reader meets them. */
export const readingOrder = (rows: readonly Row[]): number[] => rows.flatMap(({ cells }) => cells.flat());

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** A line from the top of the source's box to the bottom of the target's. */
export function curve(source: Box, target: Box): string {
  const [x, y] = [source.left + source.width / 2, source.top];
  const [toX, toY] = [target.left + target.width / 2, target.top + target.height];
  const bend = Math.max((y - toY) / 2, 12);
  return [`M${round(x)} ${round(y)}`, `C${round(x)} ${round(y - bend)}`, `${round(toX)} ${round(toY + bend)}`, `${round(toX)} ${round(toY)}`].join(" ");
}

const round = (value: number) => Math.round(value * 10) / 10;
