/** The server's API with the types it declares; every failure is an Error with one line. */
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type About = Schemas["About"];
export type SAESummary = Schemas["SAESummary"];
export type SAE = Schemas["SAE"];
export type UnreadableSAE = Schemas["UnreadableSAE"];
export type Feature = Schemas["Feature"];

/** The built viewer asks the server it came from. */
export const backend: string =
  import.meta.env.VITE_BACKEND_URL ?? (import.meta.env.DEV ? "http://localhost:24577" : "");

export class ServerError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

export async function answerOf(path: string, signal?: AbortSignal, request: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`${backend}${path}`, { ...request, signal: signal ?? null });
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new ServerError(`the server at ${backend || location.origin} does not answer`, 0);
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as { detail?: string };
  throw new ServerError(body.detail ?? `the server answered ${response.status}`, response.status);
}

export const jsonOf = async <T>(path: string, signal?: AbortSignal) =>
  (await (await answerOf(path, signal)).json()) as T;

const withBody = (method: string, body: unknown): RequestInit => ({
  method,
  body: JSON.stringify(body),
  headers: { "Content-Type": "application/json" },
});

/** A request with a JSON body; its answer's body is a stream. */
export const streamOf = (path: string, body: unknown, signal: AbortSignal) =>
  answerOf(path, signal, withBody("POST", body));

/** A request with a JSON body. */
export async function sent<T>(method: string, path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  return (await (await answerOf(path, signal, withBody(method, body))).json()) as T;
}

type JSONAt<P extends keyof paths> = paths[P] extends {
  get: { responses: { 200: { content: { "application/json": infer T } } } };
}
  ? T
  : never;

/** What stands at an address of the schema, whose `{…}` are filled in. */
const get = <P extends keyof paths>(path: P, places: Record<string, string | number>, signal?: AbortSignal) =>
  jsonOf<JSONAt<P>>(
    path.replaceAll(/\{(\w+)\}/g, (_, place: string) => String(places[place])),
    signal,
  );

export const getAbout = (signal?: AbortSignal) => get("/api/about", {}, signal);
export const getUnreadable = (signal?: AbortSignal) => get("/api/unreadable", {}, signal);
export const getSAEs = (signal?: AbortSignal) => get("/api/saes", {}, signal);
export const getSAE = (name: string, signal?: AbortSignal) => get("/api/saes/{name}", { name }, signal);
export const getFeature = (name: string, index: number, signal?: AbortSignal) =>
  get("/api/saes/{name}/features/{index}", { name, index }, signal);
export const getPlaces = (signal?: AbortSignal) => get("/api/places", {}, signal);
