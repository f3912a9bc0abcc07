import { expect, test } from "vitest";
import { AT, made } from "./made_up";
import { drawnEdges, edgesOf, groupKey, shown, type Choice } from "./view";

const ALL: Choice = { keep: 1, least: 0, errors: true, hidden: [], pinned: [], groups: [] };
const seen = (choice: Partial<Choice>) => shown(made(), { ...ALL, ...choice });
const keys = (choice: Partial<Choice>) => seen(choice).nodes.map(({ key }) => key);

test("a threshold hides features and errors beyond it, never tokens, targets and pinned nodes", () => {
  const view = seen({ keep: 0.5 });
  expect(view.nodes.map(({ key }) => key)).toEqual(["0_7_1", "1_3_2", "E_0_0", "E_1_1", "E_2_2", "3_88_2"]);
  expect(view.hidden.influence).toBe(2);
  expect(keys({ keep: 0.5, pinned: ["0_9_2"] })).toContain("0_9_2");
  expect(keys({ keep: 0 })).toEqual(["E_0_0", "E_1_1", "E_2_2", "3_88_2"]);
});

test("what is hidden is counted by why, and its edges go with it", () => {
  const view = seen({ errors: false, hidden: ["0_7_1"] });
  expect(view.hidden).toMatchObject({ errors: 1, byHand: 1, influence: 0 });
  expect(view.edges).toHaveLength(4);
});

test("edges below a share of what drives their target are left out and counted", () => {
  const view = seen({ least: 0.15 });
  // of the 1.0 into 1_3_2, −.1 is a tenth; of the 1.0 into the output −.2 is a fifth
  expect(view.edges.map(({ weight }) => weight)).not.toContain(-0.1);
  expect(view.edges.map(({ weight }) => weight)).toContain(-0.2);
  expect(view.hidden.edges).toBe(1);
});

test("edges of a group add up, and those inside of it are gone", () => {
  const groups = [{ name: "of", nodes: ["0_7_1", "0_9_2"] }];
  const view = seen({ groups });
  const own = view.nodes.findIndex(({ key }) => key === groupKey("of"));
  const upper = view.nodes.findIndex(({ key }) => key === "1_3_2");
  expect(view.nodes[own]?.members).toEqual([AT.first, AT.second]);
  const [edge] = edgesOf(view, own).out;
  expect(edge).toMatchObject({ source: own, target: upper });
  expect(edge?.weight).toBeCloseTo(0.2);
  const both = seen({ groups: [{ name: "all", nodes: ["0_7_1", "1_3_2"] }] });
  expect(both.edges.some(({ source, target }) => source === target)).toBe(false);
  expect(both.edges).toHaveLength(6);
});

test("a group outlives thresholds and is hidden as one", () => {
  const groups = [{ name: "of", nodes: ["0_7_1", "0_9_2"] }];
  expect(keys({ groups, keep: 0.1 })).toContain(groupKey("of"));
  expect(keys({ groups, hidden: [groupKey("of")] })).not.toContain(groupKey("of"));
});

test("in- and out-lists have the strongest first, by size", () => {
  const view = seen({});
  expect(edgesOf(view, AT.upper).into.map(({ weight }) => weight)).toEqual([0.6, 0.3, -0.1]);
  expect(edgesOf(view, AT.upper).out.map(({ target }) => target)).toEqual([AT.israel]);
});

test("lines are those of the selected node and those among pinned ones, each once", () => {
  const view = seen({});
  expect(drawnEdges(view, AT.upper, new Set())).toHaveLength(4);
  const pinned = new Set(["E_1_1", "0_7_1", "1_3_2"]);
  expect(drawnEdges(view, AT.upper, pinned)).toHaveLength(5);
  expect(drawnEdges(view, null, new Set())).toEqual([]);
});
