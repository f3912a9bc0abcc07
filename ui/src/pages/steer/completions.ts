/** Completions as they are written: what the stream has said so far. */
import type { CompletionEvent, SteerEvent, TokenEvent } from "../../api/model";

export interface Completion {
  tokens: TokenEvent[];
  /** When it is done: its text and the divergence from the default, token by token, in nats. */
  done: { text: string; kl: number[] } | null;
}

/** By set; the model's own is `default`. */
export interface Completions {
  default: Completion;
  sets: Map<number, Completion>;
  error: string | null;
}

const EMPTY: Completion = { tokens: [], done: null };

export const nothing = (): Completions => ({ default: EMPTY, sets: new Map(), error: null });

/** What is known after some more events; what was known before is not changed. */
export function after(known: Completions, events: readonly SteerEvent[]): Completions {
  const sets = new Map(known.sets);
  let own = known.default;
  let error = known.error;
  for (const event of events) {
    if (event.event === "error") {
      error = event.detail;
      continue;
    }
    const before = event.set === null ? own : (sets.get(event.set) ?? EMPTY);
    const next =
      event.event === "token" ? { ...before, tokens: [...before.tokens, event] } : finished(before, event);
    if (event.set === null) own = next;
    else sets.set(event.set, next);
  }
  return { default: own, sets, error };
}

const finished = (before: Completion, { text, kl }: CompletionEvent): Completion => ({
  ...before,
  done: { text, kl },
});

/** Text so far. */
export const textOf = ({ tokens, done }: Completion): string =>
  done?.text ?? tokens.map(({ text }) => text).join("");

export const meanOf = (values: readonly number[]): number | null =>
  values.length > 0 ? values.reduce((a, b) => a + b, 0) / values.length : null;

export interface NextToken {
  token: string;
  /** By column: probability, or null where the token is not among the likeliest that were sent. */
  probabilities: (number | null)[];
}

/**
 * The next token after the prompt, by column: those that any column finds likeliest, ordered by
 * their largest probability in the columns' order, `limit` of them.
 */
export function nextTokens(columns: readonly Completion[], limit: number): NextToken[] {
  const likeliest = columns.map(({ tokens }) => tokens[0]?.likeliest ?? []);
  const names = new Map(likeliest.flat().map(({ id, token }) => [id, token]));
  const rows = [...names].map(([id, token]) => ({
    token,
    probabilities: likeliest.map((column) => {
      const found = column.find((each) => each.id === id);
      return found ? Math.exp(found.log_probability) : null;
    }),
  }));
  const best = (row: NextToken) => Math.max(...row.probabilities.map((p) => p ?? 0));
  const kept = new Set(rows.toSorted((a, b) => best(b) - best(a)).slice(0, limit));
  return rows.filter((row) => kept.has(row));
}

/** A divergence in nats: 2.11, 0.49, 0.009; what is smaller is as good as none. */
export function nats(kl: number | null | undefined): string {
  if (kl === null || kl === undefined) return "…";
  if (kl >= 0.095) return kl.toFixed(2);
  return kl < 0.0005 ? "0" : String(Number(kl.toPrecision(1)));
}
