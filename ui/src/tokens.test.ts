import { expect, test } from "vitest";
import { alone, inText, isSpecial, opacity, pieces } from "./tokens";

const texts = (tokens: string[]) => pieces(tokens).map((piece) => piece.text);

test("bytes of one character join, and each piece knows its tokens", () => {
  expect(pieces(["\\xe6\\x97", "\\xa5", "本", " caf", "\\xc3", "\\xa9"])).toEqual([
    { text: "日", first: 0, end: 2 },
    { text: "本", first: 2, end: 3 },
    { text: " caf", first: 3, end: 4 },
    { text: "é", first: 4, end: 6 },
  ]);
  expect(texts([" \\xf0\\x9f", "\\x91", "\\xa9"])).toEqual([" 👩"]);
});

test("bytes that make no character stay as they are", () => {
  expect(texts(["\\xa5", "a", "\\xe6\\x97"])).toEqual(["\\xa5", "a", "\\xe6\\x97"]);
  expect(texts(["\\xff", "\\xff"])).toEqual(["\\xff", "\\xff"]);
});

test("what would not be seen is drawn", () => {
  expect(inText("\n")).toBe("↵");
  expect(inText("a\tb")).toBe("a⇥b");
  expect(inText("  ")).toBe("␣␣");
  expect(inText(" the")).toBe(" the");
  expect(alone(" the ")).toBe("␣the␣");
  expect(inText("\u001d")).toBe("\\x1d");
  expect(inText("\u200b")).toBe("U+200B");
  expect(inText("a\u202eb")).toBe("aU+202Eb");
  expect(inText("\u0301")).toBe("◌\u0301");
});

test("what joins characters stays inside of them and is drawn alone", () => {
  expect(inText("👩\u200d👧")).toBe("👩\u200d👧");
  expect(inText("❤\ufe0f")).toBe("❤\ufe0f");
  expect(inText("\u200d")).toBe("U+200D");
});

test("the tokenizer's own tokens are told from text", () => {
  for (const token of ["<|endoftext|>", "<bos>", "</s>".replace("/", ""), "[CLS]", "<｜begin▁of▁sentence｜>"]) {
    expect(isSpecial(token), token).toBe(true);
  }
  for (const token of ["<", " <b", "[1]", "a<b>"]) expect(isSpecial(token), token).toBe(false);
});

test("color grows with the root of the share of the maximum", () => {
  expect(opacity(0, 5)).toBe(0);
  expect(opacity(Number.NaN, 5)).toBe(0);
  expect(opacity(1.25, 5)).toBe(0.5);
  expect(opacity(7, 5)).toBe(1);
  expect(opacity(1, 0)).toBe(0);
});
