/** The server's API with the types it declares; every failure is an Error with one line. */
import createClient from "openapi-fetch";
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

export const api = createClient<paths>({ baseUrl: backend });

export class ServerError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}

interface Answer<T> {
  data?: T;
  error?: { detail: string };
  response: Response;
}

export async function dataOf<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await request;
  } catch (cause) {
    if (cause instanceof TypeError) {
      throw new ServerError(`the server at ${backend || location.origin} does not answer`, 0);
    }
    throw cause;
  }
  if (answer.data === undefined) {
    const message = answer.error?.detail ?? `the server answered ${answer.response.status}`;
    throw new ServerError(message, answer.response.status);
  }
  return answer.data;
}

export const getAbout = (signal?: AbortSignal) =>
  dataOf(api.GET("/api/about", { signal: signal ?? null }));

export const getUnreadable = (signal?: AbortSignal) =>
  dataOf(api.GET("/api/unreadable", { signal: signal ?? null }));

export const getSAEs = (signal?: AbortSignal) =>
  dataOf(api.GET("/api/saes", { signal: signal ?? null }));

export const getSAE = (name: string, signal?: AbortSignal) =>
  dataOf(api.GET("/api/saes/{name}", { params: { path: { name } }, signal: signal ?? null }));

export const getFeature = (name: string, index: number, signal?: AbortSignal) =>
  dataOf(
    api.GET("/api/saes/{name}/features/{index}", {
      params: { path: { name, index } },
      signal: signal ?? null,
    }),
  );
