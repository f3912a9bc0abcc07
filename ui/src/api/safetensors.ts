/** Arrays as they travel: a safetensors file, eight bytes of length, a JSON header, the data. */

export type TensorArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

export interface Tensor {
  dtype: string;
  shape: number[];
  data: TensorArray;
}

export interface Tensors {
  /** What the file says of itself. */
  about: unknown;
  tensors: Record<string, Tensor>;
}

const ARRAYS = {
  U8: Uint8Array,
  BOOL: Uint8Array,
  U16: Uint16Array,
  U32: Uint32Array,
  I32: Int32Array,
  I64: BigInt64Array,
  F32: Float32Array,
  F64: Float64Array,
  F16: Uint16Array, // the bits; `halves` makes numbers of them
} as const;

interface Entry {
  dtype: keyof typeof ARRAYS;
  shape: number[];
  data_offsets: [number, number];
}

/** Raises an Error for what is no such file. */
export function readTensors(buffer: ArrayBuffer): Tensors {
  const length = buffer.byteLength < 8 ? -1 : Number(new DataView(buffer).getBigUint64(0, true));
  if (length < 0 || 8 + length > buffer.byteLength) throw new Error("the server's answer was cut off");
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length))) as Record<string, unknown>;
  const { __metadata__: metadata, ...entries } = header;
  const about: unknown = JSON.parse((metadata as { about?: string } | undefined)?.about ?? "{}");
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(entries)) {
    const { dtype, shape, data_offsets: offsets } = value as Entry;
    const [start, stop] = [8 + length + offsets[0], 8 + length + offsets[1]];
    const ArrayOf = ARRAYS[dtype];
    if (ArrayOf === undefined || stop > buffer.byteLength) {
      throw new Error(`the server's answer has '${name}' in a form that this page can't read`);
    }
    // Copied where the place does not suit the type.
    const aligned = start % ArrayOf.BYTES_PER_ELEMENT === 0;
    const data = aligned
      ? new ArrayOf(buffer, start, (stop - start) / ArrayOf.BYTES_PER_ELEMENT)
      : new ArrayOf(buffer.slice(start, stop));
    tensors[name] = { dtype, shape, data };
  }
  return { about, tensors };
}

/** Half-precision bits as numbers, times a scale. */
export function halves(bits: Uint16Array, scale = 1): Float32Array {
  return Float32Array.from(bits, (each) => half(each) * scale);
}

function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
