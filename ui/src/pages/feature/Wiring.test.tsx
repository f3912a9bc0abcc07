// @vitest-environment jsdom
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { afterEach, expect, test } from "vitest";
import type { Feature } from "../../api/client";
import { partName, Wiring } from "./Wiring";

type Found = NonNullable<Feature["wiring"]>;

const head = (number: number, ratio: number) => ({ layer: 2, head: number, heads: 1, by: "output" as const, weight: 0.4, ratio });
const neuron = { layer: 1, neuron: 3000, by: "output" as const, weight: -0.7, ratio: 4 };

function shown(wiring: Found | null, hooks: Feature["hooks"] = []) {
  render(<Wiring feature={{ wiring, hooks } as Feature} />);
}

const rows = (list: string) => [...document.querySelectorAll<HTMLElement>(`ol[aria-label="${list}"] > li`)];

afterEach(cleanup);

test("heads and neurons stand apart, with their weight and what it is over the usual", () => {
  shown({ writers: { heads: [head(3, 2), head(0, 1)], neurons: [neuron] }, readers: { heads: [], neurons: [] }, missing: null });
  expect(rows("Attention heads").map((each) => each.textContent)).toEqual(["L2H30.400× 2.00", "L2H00.400× 1.00"]);
  const neurons = rows("MLP neurons");
  expect(neurons[0]?.textContent).toBe("L1N3000−0.700× 4.00");
  expect(neurons[0]?.dataset["says"]).toContain("against it: product −0.700, 4.00 times its root mean square");
  expect(screen.getByText("No head or neuron comes after it.")).toBeTruthy();
});

test("what reads is named by how it reads, and shared keys by all their heads", () => {
  expect(partName({ ...head(4, 1), heads: 4, by: "key" })).toBe("L2H4–7 key");
  expect(partName({ ...neuron, by: "gate" })).toBe("L1N3000 gate");
});

test("a side that is null says why, and so do both", () => {
  const missing = "blocks.1.attn.hook_q is neither here nor there";
  shown({ writers: { heads: [head(1, 1)], neurons: [] }, readers: null, missing });
  expect(screen.getByText(`Unknown: ${missing}.`)).toBeTruthy();
  cleanup();
  shown({ writers: null, readers: null, missing });
  expect(screen.getAllByText(`Unknown: ${missing}.`)).toHaveLength(1);
  cleanup();
  shown(null);
  expect(screen.getByText(/earlier version/)).toBeTruthy();
});

test("the strongest are shown, and all on demand", () => {
  shown({ writers: { heads: [5, 4, 3, 2, 1].map((ratio) => head(ratio, ratio)), neurons: [] }, readers: null, missing: "none" });
  expect(rows("Attention heads")).toHaveLength(3);
  fireEvent.click(screen.getByText("2 more"));
  expect(rows("Attention heads")).toHaveLength(5);
});

test("a crosscoder's says over which of its hooks", () => {
  const hooks = ["a", "b"].map((hook) => ({ hook, norm: 1, promotes: [], suppresses: [] }));
  shown({ writers: { heads: [head(1, 1)], neurons: [] }, readers: null, missing: "none" }, hooks);
  expect(screen.getByText(/summed over the hooks behind each/)).toBeTruthy();
});
