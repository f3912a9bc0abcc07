import { expect, test } from "vitest";
import { contentsOf, readFile } from "./data";

const list = {
  name: "ships",
  description: "",
  text: "",
  features: [{ sae: "run:topk", feature: 0, note: "the first" }],
};

test("a list's file is read as it was written", () => {
  expect(readFile(JSON.stringify({ ...list, id: "a1", version: 3 }))).toEqual(list);
  expect(contentsOf({ ...list })).toEqual(list);
});

test("a file that is no list is refused with what it lacks", () => {
  expect(() => readFile("{")).toThrow("no JSON");
  for (const text of ["[]", "null", '{"name":"x"}', '{"name":"x","features":[{"sae":1}]}']) {
    expect(() => readFile(text)).toThrow("it needs a name");
  }
});
