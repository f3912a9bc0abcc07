import { expect, test } from "vitest";
import type { Agreement, Verification } from "../../api/graphs";
import { signed, splitRows } from "./figures";
import { grouped, renamed, ungrouped } from "./groups";
import { AT, made, node } from "./made_up";
import { namesOf, nodeName } from "./names";
import { hides, sizeSaid, verdict } from "./proof";
import { INITIAL, readGraphState, readNewTrace, writeGraphState, writeNewTrace } from "./state";

const agreement = (r: number | null, missed: number | null = 0.31): Agreement => ({ r_per_source: r, r_pooled: r, slope: 0.5, missed });
const verified = (r: number | null): Verification => ({
  ablations: 50,
  direct: agreement(r),
  total: agreement(r),
  on_targets: agreement(0.83),
  frozen_error: 1e-6,
  let_go: { patterns: agreement(0.9, 0.02), everything: agreement(r) },
});

test("the verdict follows the real model, not the scores", () => {
  expect(verdict(verified(0.92))).toMatch(/^The real model closely does .*50 tried.*31.*% .*outputs alone r is \.83, .* 2\.00 times too large\.$/);
  expect(verdict(verified(0.04))).toMatch(/^The real model hardly does/);
  expect(verdict(verified(null))).toMatch(/nothing that could be compared/);
  expect(verdict(null)).toMatch(/^Not checked against the real model/);
});

test("a slope says how far the size is off", () => {
  expect(sizeSaid(1.1)).toBe("of the right size");
  expect(sizeSaid(0.5)).toBe("2.00 times too large");
  expect(sizeSaid(3)).toBe("3.00 times too small");
  expect(sizeSaid(-0.2)).toBe("in the other direction");
  expect(sizeSaid(null)).toBeNull();
});

test("what freezing hides has a line for each thing that is let go", () => {
  expect(hides(verified(0.9)).map(({ name }) => name)).toEqual(["attention patterns", "everything"]);
});

test("nodes are called by what was said, else by the tokens they fire on", () => {
  const graph = made();
  const named = (number: number) => namesOf(graph, { key: "", members: [number], group: null });
  expect(named(AT.upper)).toMatchObject({ name: "␣of ␣in", number: "3", place: "L1 3" });
  expect(named(AT.israel)).toMatchObject({ name: "␣Israel", number: ".19", place: "output" });
  expect(named(AT.the)).toMatchObject({ name: "⊢", number: "", place: "token" });
  expect(named(AT.error).says).toBe("what the transcoder of layer 1 misses at ␣of");
  expect(nodeName(node({ label: "royal names", explained: true, index: 0 }))).toBe("royal names");
  expect(nodeName(node({ index: 0 }))).toBe("feature");
});

test("changes have a sign and line up", () => {
  expect([0.941, -0.16, 0, 12.34, null, 0.0004].map(signed)).toEqual(["+.94", "−.16", "0", "+12.3", "–", "+4·10⁻⁴"]);
});

test("heads without a line are added up, so that a block's parts still sum to the edge", () => {
  const heads = [0.3, 0.0001, -0.2, 0.05, 0.04, 0.03];
  const [row] = splitRows({ blocks: [{ layer: 2, heads, stream: 0.5 }] });
  expect(row?.heads.map(({ head }) => head)).toEqual([0, 2, 3, 4]);
  const sum = (row?.heads.reduce((total, { part }) => total + part, 0) ?? 0) + (row?.rest ?? 0);
  expect(sum).toBeCloseTo(heads.reduce((total, part) => total + part, 0));
  expect(splitRows({ blocks: [] })).toEqual([]);
});

test("a node is in one group at most, and an empty group is gone", () => {
  const first = grouped([], "kings", ["a", "b"]);
  const second = grouped(first, "towns", ["b"]);
  expect(second).toEqual([
    { name: "kings", nodes: ["a"] },
    { name: "towns", nodes: ["b"] },
  ]);
  expect(grouped(second, "towns", ["a"])).toEqual([{ name: "towns", nodes: ["b", "a"] }]);
  expect(ungrouped(second, ["a"])).toEqual([{ name: "towns", nodes: ["b"] }]);
  expect(renamed(second, "kings", "towns")).toBeNull();
  expect(renamed(second, "kings", "rulers")?.[0]?.name).toBe("rulers");
});

test("the address keeps what is looked at, and nothing that is as at first", () => {
  expect(writeGraphState(INITIAL)).toBe("");
  const state = { ...INITIAL, node: "group:of & in", edge: "E_1_1", keep: 0.6, least: 0.02, errors: false, pinned: ["a", "b"], hidden: ["c"], proof: true };
  expect(readGraphState(writeGraphState(state))).toEqual(state);
  expect(readGraphState("#keep=7&least=x")).toEqual(INITIAL);
});

test("a trace that starts by itself is asked for in the address", () => {
  const asked = { text: "a\nb", run: "tc", start: true };
  expect(readNewTrace(writeNewTrace(asked))).toEqual(asked);
});
