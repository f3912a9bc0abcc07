/** An SAE's columns: everything that lists sort, filter and draw, in one answer that never changes. */
import { readTensors, type Tensors } from "./safetensors";

export interface Columns {
  /** Which analysis it is of; other requests name it, so that a page is of one piece. */
  analysis: string;
  /** Key of the vocabulary that token ids are of. */
  vocabulary: string;
  tokensAnalyzed: number;
  /** Index of the first feature analyzed, and how many there are. */
  first: number;
  rows: number;
  /** Float64 where a count is larger than 2³² − 2. */
  firings: Uint32Array | Float64Array;
  contexts: Uint32Array | Float64Array | undefined;
  maximum: Float32Array;
  mean: Float32Array;
  /** [rows, 3] and [rows, k], row by row; 2³² − 1 where there is none. */
  labelToken: Uint32Array;
  labelShare: Float32Array;
  firesOn: Uint32Array;
  promotes: Uint32Array;
  /** [rows, bins]: logarithms of counts, a byte each. */
  histogram: Uint8Array;
  /** Names of the SAEs that `twinSae` numbers. */
  twinSaes: readonly string[];
  twinSae: Uint32Array | undefined;
  twinFeature: Uint32Array | undefined;
  twinCosine: Float32Array | undefined;
  stability: Float32Array | undefined;
  outputScore: Float32Array | undefined;
}

interface ColumnsAbout {
  analysis: string;
  first_feature: number;
  tokens_analyzed: number;
  vocabulary: string;
  twin_saes: string[];
}

export function columnsOf({ about, tensors }: Tensors): Columns {
  const facts = about as ColumnsAbout;
  const needed = <T>(name: string) => {
    const found = tensors[name]?.data;
    if (found === undefined) throw new Error(`the server's answer lacks the column '${name}'`);
    return found as T;
  };
  const optional = <T>(name: string) => tensors[name]?.data as T | undefined;
  const firings = needed<Uint32Array | Float64Array>("firings");
  return {
    analysis: facts.analysis,
    vocabulary: facts.vocabulary,
    tokensAnalyzed: facts.tokens_analyzed,
    first: facts.first_feature,
    rows: firings.length,
    firings,
    contexts: optional("contexts"),
    maximum: needed("maximum"),
    mean: needed("mean"),
    labelToken: needed("label_token"),
    labelShare: needed("label_share"),
    firesOn: needed("fires_on"),
    promotes: needed("promotes"),
    histogram: needed("histogram"),
    twinSaes: facts.twin_saes,
    twinSae: optional("twin_sae"),
    twinFeature: optional("twin_feature"),
    twinCosine: optional("twin_cosine"),
    stability: optional("stability"),
    outputScore: optional("output_score"),
  };
}

export const readColumns = (buffer: ArrayBuffer): Columns => columnsOf(readTensors(buffer));
