import { expect, test } from "vitest";
import { columnWidths, curve, neighbor, readingOrder, rowsOf } from "./layout";
import { AT, made } from "./made_up";
import { shown } from "./view";

const graph = made();
const view = shown(graph, { keep: 1, least: 0, errors: true, hidden: [], pinned: [], groups: [] });
const rows = rowsOf(graph, view);

test("outputs stand on top, layers below, tokens at the bottom, each at its position", () => {
  expect(rows.map(({ layer }) => layer)).toEqual([2, 1, 0, -1]);
  expect(rows[0]?.cells).toEqual([[], [], [AT.israel]]);
  expect(rows[2]?.cells).toEqual([[], [AT.first], [AT.second]]);
});

test("the most influential of a cell comes first", () => {
  expect(rows[1]?.cells[2]).toEqual([AT.upper, AT.error]);
});

test("columns take what their nodes need, and share out what is left", () => {
  const widths = columnWidths(rows, () => 90, [20, 40, 30], 600);
  expect(widths.reduce((sum, each) => sum + each, 0)).toBeCloseTo(600);
  expect(widths[2]).toBeGreaterThan(widths[0] ?? 0);
  expect(widths[1]).toBeGreaterThanOrEqual(94);
});

test("where there is no room, columns shrink to their widest node and the graph is scrolled", () => {
  const widths = columnWidths(rows, () => 90, [20, 40, 30], 100);
  expect(widths).toEqual([22, 94, 94]);
});

test("arrows go along a row, and to the nearest of the next row that has a node", () => {
  expect(neighbor(rows, AT.first, "right")).toBe(AT.second);
  expect(neighbor(rows, AT.first, "left")).toBe(AT.first);
  expect(neighbor(rows, AT.first, "up")).toBe(AT.upper);
  expect(neighbor(rows, AT.error, "up")).toBe(AT.israel);
  expect(neighbor(rows, AT.first, "down")).toBe(AT.king);
  expect(neighbor(rows, AT.king, "down")).toBe(AT.king);
});

test("in reading order every node comes once", () => {
  expect(readingOrder(rows)).toHaveLength(graph.nodes.length);
  expect(readingOrder(rows)[0]).toBe(AT.israel);
});

test("a line runs from the source's top to the target's foot", () => {
  const line = curve({ left: 0, top: 100, width: 20, height: 20 }, { left: 40, top: 0, width: 20, height: 20 });
  expect(line).toBe("M10 100 C10 60 50 60 50 20");
});
