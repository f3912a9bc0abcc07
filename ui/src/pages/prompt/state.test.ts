import { expect, test } from "vitest";
import { INITIAL, readPrompt, writePrompt, type PromptState } from "./state";

test("what is looked at comes back from the address as it was", () => {
  const state: PromptState = {
    saes: ["saes:topk-32", "saes:relu-2"],
    texts: ["a & b = c\n日本 #1 %", ""],
    rank: "share",
    hideDense: false,
    token: 0,
    onlyToken: true,
    color: "feature",
    feature: { sae: 1, index: 0 },
  };
  expect(readPrompt(writePrompt(state))).toEqual(state);
  expect(writePrompt(INITIAL)).toBe("");
  expect(readPrompt("")).toEqual(INITIAL);
});

test("an address that makes no sense gives the defaults", () => {
  const state = readPrompt("#rank=best&token=-1&feature=7.x&color=red&dense=maybe");
  expect(state).toEqual(INITIAL);
});

test("there are at most two SAEs, none twice, and two texts", () => {
  const state = readPrompt("#sae=a&sae=a&sae=b&sae=c&text=1&text=2&text=3");
  expect([state.saes, state.texts]).toEqual([["a", "b"], ["1", "2"]]);
});
