import { expect, test } from "vitest";
import { grid, strength, type Edited } from "./grid";
import { INITIAL, readSteer, withCell, writeSteer } from "./state";

const edited = (changes: Partial<Edited> = {}): Edited => ({
  sae: "run:topk",
  feature: 0,
  method: "add",
  value: null,
  ...changes,
});

test("a feature is ablated and edited in multiples of its maximum, set by set", () => {
  const { columns, cells } = grid([edited(), edited({ feature: 7 })], [8, 2]);
  expect(columns).toEqual(["ablate", "add .5 × max", "add 1 × max", "add 2 × max", "add 4 × max"]);
  expect(cells.map(({ set }) => set)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(cells.map(({ edit }) => edit.value)).toEqual([null, 4, 8, 16, 32, null, 1, 2, 4, 8]);
  expect(cells[0]?.edit.method).toBe("ablate");
  expect(cells[5]?.edit.feature).toBe(7);
});

test("a factor is a factor, whatever the maximum", () => {
  const { columns, cells } = grid([edited({ method: "orthogonal" })], [8]);
  expect(cells.slice(1).map(({ edit }) => edit.value)).toEqual([-1, 0, 2, 4]);
  expect(columns[2]).toBe("⟂ × 0");
});

test("a strength of one's own has a column, 0 too", () => {
  const { columns, cells } = grid([edited({ value: 0 }), edited()], [8, 8]);
  expect(columns.at(-1)).toBe("own strength");
  expect(cells.find(({ column }) => column === 5)?.edit.value).toBe(0);
  expect(cells).toHaveLength(11);
});

test("nothing is tried of a feature whose maximum isn't known", () => {
  expect(grid([edited()], [null]).cells).toEqual([]);
});

test("strengths are written with their sign", () => {
  expect(strength("add", 9.1434)).toBe("+9.14");
  expect(strength("add", -0.5)).toBe("−0.5");
  expect(strength("set", 0)).toBe("= 0");
  expect(strength("scale", 2)).toBe("× 2");
  expect(strength("ablate", null)).toBe("ablate");
});

test("what is steered comes back from the address as it was", () => {
  const state = {
    prompt: "And the LORD said & #2\n",
    edited: [edited({ feature: 0, value: -4.5 }), edited({ sae: "b:c_d-1.x", method: "set" as const })],
    tokens: 40,
    temperature: 0.7,
    seed: 3,
    where: "prompt" as const,
    chosen: ["0.2", "1.4"],
  };
  expect(readSteer(writeSteer(state))).toEqual(state);
  expect(writeSteer(INITIAL)).toBe("");
});

test("a link from a feature's page is its first edit, and nonsense is none", () => {
  expect(readSteer("#sae=run:topk&feature=0").edited).toEqual([edited()]);
  expect(readSteer("#edit=a~b~add&edit=a~1~explode&edit=a~1~add~1e9&tokens=0&temperature=-1")).toEqual({
    ...INITIAL,
    tokens: 1,
  });
});

test("four cells are shown at most", () => {
  expect(withCell(["0.1"], "0.1")).toEqual([]);
  expect(withCell(["0.0", "0.1", "0.2", "0.3"], "1.0")).toEqual(["0.1", "0.2", "0.3", "1.0"]);
});
