/** Contexts of a feature as they travel: token ids and activations, as stored. */
import type { Feature } from "./client";
import { halves, readTensors, type TensorArray } from "./safetensors";

/** Consecutive tokens of a context with the feature's activations. */
export interface FeatureContext {
  /** Its number in the cache. */
  context: number;
  maximum: number;
  /** Among these tokens, where the activation is largest. */
  position: number;
  tokenIds: Uint32Array;
  /** NaN where it is not known: of a context's neighbors. */
  activations: Float32Array;
  /** Place of the first of these tokens in the context, and how many the context has. */
  first: number;
  length: number;
  /** Places among these tokens at which another document begins. */
  boundaries: readonly number[];
}

export interface ContextGroup {
  analysis: string;
  vocabulary: string;
  group: string | null;
  /** Contexts that there are of this kind, null where that is not known, and how many are kept. */
  available: number | null;
  stored: number;
  /** Between which maxima, for intervals: above `lower`, up to `upper`. */
  lower: number | null;
  upper: number | null;
  /** The feature itself, where it was asked for with them. */
  page?: Feature | null;
  contexts: FeatureContext[];
}

type About = Omit<ContextGroup, "contexts"> & { scale: number };

/** Raises an Error for an answer that lacks something. */
export function readContexts(buffer: ArrayBuffer): ContextGroup {
  const { about, tensors } = readTensors(buffer);
  const { scale, ...facts } = about as About;
  const needed = <T extends TensorArray>(name: string) => {
    const found = tensors[name]?.data;
    if (found === undefined) throw new Error(`the server's answer lacks '${name}'`);
    return found as T;
  };
  const ids = needed<Uint32Array>("token_ids");
  const stored = needed("activations");
  const activations = stored instanceof Uint16Array ? halves(stored, scale) : (stored as Float32Array);
  const starts = needed<Uint32Array>("starts");
  const [first, length] = [needed<Uint32Array>("first"), needed<Uint32Array>("length")];
  const [position, maximum] = [needed<Uint32Array>("position"), needed<Float32Array>("maximum")];
  const documents = tensors["documents"]?.data as BigInt64Array | undefined;
  const contexts = Array.from(needed<BigInt64Array>("context"), (number, i): FeatureContext => {
    const [start, stop] = [starts[i] ?? 0, starts[i + 1] ?? 0];
    return {
      context: Number(number),
      maximum: maximum[i] ?? Number.NaN,
      position: (position[i] ?? 0) - (first[i] ?? 0),
      tokenIds: ids.subarray(start, stop),
      activations: activations.subarray(start, stop),
      first: first[i] ?? 0,
      length: length[i] ?? 0,
      boundaries: documents ? changes(documents.subarray(start, stop)) : [],
    };
  });
  return { ...facts, contexts };
}

function changes(documents: BigInt64Array): number[] {
  const found: number[] = [];
  for (let at = 1; at < documents.length; at++) if (documents[at] !== documents[at - 1]) found.push(at);
  return found;
}
