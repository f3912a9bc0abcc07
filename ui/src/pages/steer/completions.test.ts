import { expect, test } from "vitest";
import type { TokenEvent } from "../../api/model";
import { after, meanOf, nats, nextTokens, nothing, textOf } from "./completions";

const token = (set: number | null, text: string, likeliest: [number, string, number][] = []): TokenEvent => ({
  event: "token",
  set,
  place: 0,
  id: 0,
  text,
  log_probability: -1,
  likeliest: likeliest.map(([id, name, p]) => ({ id, token: name, log_probability: Math.log(p) })),
});

test("completions grow set by set, and set 0 isn't the default", () => {
  const start = nothing();
  const some = after(start, [token(null, " will"), token(0, " have"), token(0, " been")]);
  expect(textOf(some.default)).toBe(" will");
  expect(textOf(some.sets.get(0) ?? some.default)).toBe(" have been");
  const done = after(some, [
    { event: "completion", set: 0, text: " have been.", token_ids: [1, 2, 3], kl: [0.5, 0.1] },
  ]);
  expect(done.sets.get(0)?.done).toEqual({ text: " have been.", kl: [0.5, 0.1] });
  expect(some.sets.get(0)?.done).toBe(null);
  expect(textOf(start.default)).toBe("");
});

test("an error that ends the stream is kept, with what came before", () => {
  const found = after(nothing(), [token(null, "a"), { event: "error", detail: "it took too long" }]);
  expect([found.error, textOf(found.default)]).toEqual(["it took too long", "a"]);
});

test("next tokens are those that any column finds likely; what wasn't sent is no 0", () => {
  const columns = after(nothing(), [
    token(null, " will", [[1, " will", 0.4], [2, " am", 0.1]]),
    token(0, " been", [[3, " been", 0.2], [1, " will", 0.05]]),
  ]);
  const rows = nextTokens([columns.default, columns.sets.get(0) ?? columns.default], 2);
  expect(rows.map((row) => row.token)).toEqual([" will", " been"]);
  expect(rows[1]?.probabilities[0]).toBe(null);
  expect(rows[0]?.probabilities[1]).toBeCloseTo(0.05);
});

test("a mean of nothing is null", () => {
  expect([meanOf([]), meanOf([1, 2])]).toEqual([null, 1.5]);
});

test("divergences keep what can be read of them", () => {
  expect([4.089, 0.49, 0.0274, 0.00164, 0.0001, null].map(nats)).toEqual([
    "4.09",
    "0.49",
    "0.03",
    "0.002",
    "0",
    "…",
  ]);
});
