/** What is asked of the language model: own text through SAEs, and steering. */
import { events } from "../pages/steer/events";
import { jsonOf, sent, streamOf } from "./client";
import type { components } from "./schema";

type Schemas = components["schemas"];
export type TextToken = Schemas["TextToken"];
export type TextFeature = Schemas["TextFeature"];
export type Activations = Schemas["Activations"];
export type ActivationsRequest = Schemas["ActivationsRequest"];
export type SteerRequest = Schemas["SteerRequest"];
export type AskedEdit = Schemas["AskedEdit"];

export interface LikelyToken {
  id: number;
  token: string;
  log_probability: number;
}

/** A new token; `set` null is the model's own completion. */
export interface TokenEvent {
  event: "token";
  set: number | null;
  place: number;
  id: number;
  text: string;
  log_probability: number;
  likeliest: LikelyToken[];
}

export interface CompletionEvent {
  event: "completion";
  set: number | null;
  text: string;
  token_ids: number[];
  /** KL(this ‖ default) in nats, token by token. */
  kl: number[];
}

export type SteerEvent = TokenEvent | CompletionEvent | { event: "error"; detail: string };

/** A text through an SAE. The text is the body: it stands in no address. */
export const getActivations = (name: string, body: Partial<ActivationsRequest>, signal?: AbortSignal) =>
  sent<Activations>("POST", `/api/saes/${name}/activations`, body, signal);

/** Completions with features edited, as they are written. Aborting the signal ends the work. */
export async function* steer(
  body: Partial<SteerRequest>,
  signal: AbortSignal,
): AsyncGenerator<SteerEvent> {
  const { body: answer } = await streamOf("/api/steer", body, signal);
  if (answer) yield* events<SteerEvent>(answer);
}

export interface Metrics {
  step: number[];
  series: Record<string, (number | null)[]>;
}

export const getMetrics = (name: string, signal: AbortSignal) => jsonOf<Metrics>(`/api/saes/${name}/metrics`, signal);
