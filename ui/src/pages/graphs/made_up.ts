/** A small graph for tests: two layers, three tokens, one output. */
import type { GraphNode } from "../../api/graphs";
import { graphOf, type Graph } from "./graph";

const NODE: GraphNode = {
  id: "",
  kind: "feature",
  layer: 0,
  position: 0,
  sae: null,
  index: null,
  label: null,
  explained: false,
  label_tokens: [],
  activation: null,
  maximum: null,
  density: null,
  value: null,
  probability: null,
  influence: null,
  cumulative: null,
};

export const node = (fields: Partial<GraphNode>): GraphNode => ({ ...NODE, ...fields });

const feature = (layer: number, index: number, position: number, cumulative: number) =>
  node({ id: `${layer}_${index}_${position}`, layer, index, position, cumulative, sae: `tc:layer-${layer}`, activation: 1.5, maximum: 3, label_tokens: [" of", " in", " to"] });

/** Numbers of its nodes. */
export const AT = { first: 0, second: 1, upper: 2, error: 3, the: 4, king: 5, of: 6, israel: 7 };

export const made = (): Graph =>
  graphOf(
    { tokens: ["<|endoftext|>", " king", " of"], layers: 2 },
    [
      feature(0, 7, 1, 0.5),
      feature(0, 9, 2, 0.7),
      feature(1, 3, 2, 0.3),
      node({ id: "error_1_2", kind: "error", layer: 1, position: 2, label: "error", cumulative: 0.6 }),
      node({ id: "E_0_0", kind: "token", layer: -1, position: 0, label: "<|endoftext|>", cumulative: 0.9 }),
      node({ id: "E_1_1", kind: "token", layer: -1, position: 1, label: " king", cumulative: 0.8 }),
      node({ id: "E_2_2", kind: "token", layer: -1, position: 2, label: " of", cumulative: 0.1 }),
      node({ id: "3_88_2", kind: "logit", layer: 2, position: 2, label: " Israel", probability: 0.19 }),
    ],
    {
      source: [5, 6, 6, 0, 1, 2, 3],
      target: [0, 1, 2, 2, 2, 7, 7],
      weight: [2, 1, 0.6, 0.3, -0.1, 0.8, -0.2],
    },
  );
