import { isRouteErrorResponse, Link, useRouteError } from "react-router";
import { SERVE } from "../commands";
import { ServerError } from "../api/client";
import { usePage } from "../page";

/** The page of a request that failed, with the server's message. */
export function ErrorPage() {
  const error = useRouteError();
  const [title, message] = describe(error);
  usePage({ title, crumbs: [{ label: title }] });
  return (
    <section className="wrap" role="alert">
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
  if (error instanceof Error && /dynamically imported module|Importing a module/.test(error.message)) {
    return ["No answer", `The server at ${location.origin} does not answer: start it (${SERVE}) and try again.`];
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
