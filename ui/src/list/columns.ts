/** The columns of an SAE's features that lists sort and filter by. Row 0 is the first analyzed. */
import type { Columns } from "../api/columns";
import { activation, count, percent, share } from "../format";

export const NO_TOKEN = 0xffff_ffff;
/** Active on more than a tenth of all tokens. */
export const DENSE_FROM = 0.1;

export interface NumberColumn {
  key: string;
  /** In the list's head, and in chips. */
  name: string;
  means: string;
  /** Drawn and binned by its logarithm. */
  logarithmic: boolean;
  format: (value: number) => string;
  /** Of each feature; NaN where it has none. */
  values: (columns: Columns) => Float32Array;
}

const kept = new WeakMap<Columns, Map<string, Float32Array>>();

/** A column that is worked out, once for each SAE. */
function once(key: string, make: (columns: Columns) => Float32Array) {
  return (columns: Columns): Float32Array => {
    let own = kept.get(columns);
    if (own === undefined) kept.set(columns, (own = new Map()));
    let values = own.get(key);
    if (values === undefined) own.set(key, (values = make(columns)));
    return values;
  };
}

export const NUMBER_COLUMNS: readonly NumberColumn[] = [
  {
    key: "density",
    name: "density",
    means: "share of the analyzed tokens on which the feature is active",
    logarithmic: true,
    format: percent,
    values: once("density", (columns) =>
      Float32Array.from(columns.firings).map((firings) => firings / columns.tokensAnalyzed),
    ),
  },
  {
    key: "maximum",
    name: "max",
    means: "largest activation",
    logarithmic: false,
    format: (value) => activation(value),
    values: (columns) => columns.maximum,
  },
  {
    key: "mean",
    name: "mean",
    means: "mean activation when active",
    logarithmic: false,
    format: (value) => activation(value),
    values: (columns) => columns.mean,
  },
  {
    key: "contexts",
    name: "contexts",
    means: "contexts in which it is active",
    logarithmic: true,
    format: count,
    values: once("contexts", (columns) => (columns.contexts ? Float32Array.from(columns.contexts) : none(columns))),
  },
  {
    key: "label",
    name: "label covers",
    means: "share of its firings on the tokens of its label",
    logarithmic: false,
    format: percent,
    values: once("label", labelCover),
  },
  {
    key: "twin",
    name: "twin",
    means: "largest decoder cosine with a feature of another SAE",
    logarithmic: false,
    format: share,
    values: once("twin", (columns) => columns.twinCosine ?? none(columns)),
  },
  {
    key: "stability",
    name: "stability",
    means: "mean match with its twins in the other SAEs",
    logarithmic: false,
    format: share,
    values: once("stability", (columns) => columns.stability ?? none(columns)),
  },
  {
    key: "output",
    name: "output score",
    means: "how much the feature's own promoted tokens gain when it is steered",
    logarithmic: false,
    format: share,
    values: once("output", (columns) => columns.outputScore ?? none(columns)),
  },
];

export const numberColumn = (key: string): NumberColumn | undefined =>
  NUMBER_COLUMNS.find((column) => column.key === key);

const none = (columns: Columns) => new Float32Array(columns.rows).fill(Number.NaN);

/** Whether anything was measured. */
export function isMeasured(columns: Columns, column: NumberColumn): boolean {
  return column.values(columns).some((value) => !Number.isNaN(value));
}

function labelCover(columns: Columns): Float32Array {
  const { labelShare, rows } = columns;
  const width = labelShare.length / Math.max(rows, 1);
  const cover = new Float32Array(rows).fill(Number.NaN);
  for (let row = 0; row < rows; row++) {
    for (let place = 0; place < width; place++) {
      const part = labelShare[row * width + place] ?? Number.NaN;
      if (part > 0) cover[row] = (Number.isNaN(cover[row] ?? 0) ? 0 : (cover[row] ?? 0)) + part;
    }
  }
  return cover;
}

/** Tokens of a feature in a column of several: `label_token`, `fires_on`, `promotes`. */
export function tokensOf(column: Uint32Array, columns: Columns, row: number): number[] {
  const width = column.length / Math.max(columns.rows, 1);
  return Array.from(column.subarray(row * width, (row + 1) * width)).filter((id) => id !== NO_TOKEN);
}
