import { isRouteErrorResponse, Link, useRouteError } from "react-router";
import { ServerError } from "../api/client";
import { Crumbs } from "./Crumbs";

/** The page of a request that failed, with the server's message. */
export function ErrorPage() {
  const error = useRouteError();
  const [title, message] = describe(error);
  return (
    <section className="message" role="alert">
      <Crumbs title={title} crumbs={[{ label: title }]} />
      <h1>{title}</h1>
      <p>{message}</p>
      <p>
        <a href={location.href}>Try again</a> or go to <Link to="/">all SAEs</Link>.
      </p>
    </section>
  );
}

function describe(error: unknown): [string, string] {
  if (isRouteErrorResponse(error)) {
    return ["Not found", `The viewer has no page at ${location.pathname}.`];
  }
  if (error instanceof ServerError) {
    const missing = error.status === 404 || error.status === 422;
    return [missing ? "Not found" : "No answer", sentence(error.message)];
  }
  return ["Unexpected error", error instanceof Error ? error.message : String(error)];
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
