import { expect, test } from "vitest";
import { changes, words } from "./words";

const news = (base: string, text: string) =>
  changes(base, text)
    .filter(({ isNew }) => isNew)
    .map(({ text: word }) => word);

test("words joined are the text", () => {
  for (const text of [" will not\nbe  done.\n", "", "  ", "日本 x"]) {
    expect(words(text).join("")).toBe(text);
    expect(
      changes("other", text)
        .map(({ text: word }) => word)
        .join(""),
    ).toBe(text);
  }
});

test("words that default doesn't have, in its order, are new", () => {
  expect(news(" will not be a man of the LORD.", " will not be done.")).toEqual([" done."]);
  expect(news("a b c d", "a x b d c")).toHaveLength(2);
  expect(news("the same", "the same")).toEqual([]);
  expect(news("", "all new")).toEqual(["all", " new"]);
  expect(news("a b", "b a b")).toEqual(["b"]);
});

test("white space is never new", () => {
  expect(news("a b", "a\nb\n")).toEqual([]);
});
