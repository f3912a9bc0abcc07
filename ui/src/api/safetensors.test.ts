import { expect, test } from "vitest";
import { halves, readTensors } from "./safetensors";

function file(header: object, data: Uint8Array): ArrayBuffer {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const whole = new Uint8Array(8 + text.length + data.length);
  new DataView(whole.buffer).setBigUint64(0, BigInt(text.length), true);
  whole.set(text, 8);
  whole.set(data, 8 + text.length);
  return whole.buffer;
}

test("reads arrays wherever they begin", () => {
  const values = new Uint8Array(Float32Array.from([1.5, -2]).buffer);
  const buffer = file(
    { __metadata__: { about: '{"a":1}' }, x: { dtype: "F32", shape: [2], data_offsets: [1, 9] } },
    Uint8Array.from([7, ...values]),
  );
  const { about, tensors } = readTensors(buffer);
  expect(about).toEqual({ a: 1 });
  expect(Array.from(tensors["x"]?.data as Float32Array)).toEqual([1.5, -2]);
});

test("an answer that was cut off is an error, not a shorter column", () => {
  const buffer = file({ x: { dtype: "U32", shape: [4], data_offsets: [0, 16] } }, new Uint8Array(12));
  expect(() => readTensors(buffer)).toThrow("can't read");
  expect(() => readTensors(new ArrayBuffer(3))).toThrow("cut off");
});

test("half precision keeps its smallest and largest numbers", () => {
  const bits = Uint16Array.from([0x0001, 0x3c00, 0x7bff, 0xc000, 0x0000]);
  expect(Array.from(halves(bits))).toEqual([2 ** -24, 1, 65_504, -2, 0]);
  expect(Array.from(halves(Uint16Array.from([0x3c00]), 0.25))).toEqual([0.25]);
});
