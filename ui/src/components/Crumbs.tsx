import { createContext, useContext } from "react";
import { createPortal } from "react-dom";
import { Link } from "react-router";

/** Where the bar at the top takes the crumbs of the page below it. */
export const CrumbBar = createContext<HTMLElement | null>(null);

export interface Crumb {
  label: string;
  /** Where it leads; the last one, the page itself, leads nowhere. */
  to?: string;
}

/** The breadcrumbs of a page, drawn in the bar, and the window's title. */
export function Crumbs({ crumbs, title }: { crumbs: Crumb[]; title: string }) {
  const bar = useContext(CrumbBar);
  return (
    <>
      <title>{title ? `${title} · lmsaes` : "lmsaes"}</title>
      {bar &&
        createPortal(
          <ol>
            {crumbs.map(({ label, to }) => (
              <li key={label} aria-current={to ? undefined : "page"}>
                {to ? <Link to={to}>{label}</Link> : label}
              </li>
            ))}
          </ol>,
          bar,
        )}
    </>
  );
}
