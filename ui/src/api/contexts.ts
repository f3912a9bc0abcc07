/** Contexts of a feature as they travel: token ids and activations, as stored. */
import { halves, readTensors } from "./safetensors";

export interface FeatureContext {
  /** Its number in the cache. */
  context: number;
  maximum: number;
  /** Where in the context the activation is largest. */
  position: number;
  tokenIds: Uint32Array;
  activations: Float32Array;
  /** Positions at which another document begins. */
  boundaries: readonly number[];
}

export interface ContextGroup {
  analysis: string;
  group: string;
  /** Contexts that there are of this kind, of which these were kept. */
  available: number;
  /** Between which maxima, for intervals: above `lower`, up to `upper`. */
  lower: number | null;
  upper: number | null;
  contexts: FeatureContext[];
}

export function readContexts(buffer: ArrayBuffer): ContextGroup {
  const { metadata, tensors } = readTensors(buffer);
  const scale = (tensors["scale"]?.data as Float32Array | undefined)?.[0] ?? Number(metadata["scale"] ?? 1);
  const ids = tensors["token_ids"]?.data as Uint32Array;
  const stored = tensors["activations"];
  const activations =
    stored?.dtype === "F16" ? halves(stored.data as Uint16Array, scale) : (stored?.data as Float32Array);
  const starts = tensors["starts"]?.data as Uint32Array;
  const numbers = tensors["context"]?.data as BigInt64Array;
  const documents = (tensors["document_starts"]?.data ?? new Uint32Array()) as Uint32Array;
  const contexts = Array.from(numbers, (number, i): FeatureContext => {
    const [start, stop] = [starts[i] ?? 0, starts[i + 1] ?? 0];
    return {
      context: Number(number),
      maximum: (tensors["maximum"]?.data as Float32Array)[i] ?? Number.NaN,
      position: (tensors["position"]?.data as Uint32Array)[i] ?? 0,
      tokenIds: ids.subarray(start, stop),
      activations: activations.subarray(start, stop),
      boundaries: Array.from(documents)
        .filter((at) => at > start && at < stop)
        .map((at) => at - start),
    };
  });
  const number = (text: string | undefined) => (text === undefined || text === "" || text === "null" ? null : Number(text));
  return {
    analysis: metadata["analysis"] ?? "",
    group: metadata["group"] ?? "",
    available: Number(metadata["available"] ?? contexts.length),
    lower: number(metadata["lower"]),
    upper: number(metadata["upper"]),
    contexts,
  };
}
