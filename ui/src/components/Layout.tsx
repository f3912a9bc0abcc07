import { useRef } from "react";
import { Link, NavLink, Outlet, ScrollRestoration } from "react-router";
import { useKeys } from "../keys";
import { useAnnouncement, usePageFacts } from "../page";
import { comparePath, promptPath, saePath } from "../paths";
import { ErrorPage } from "./ErrorPage";
import { Find } from "./Find";
import { Help } from "./Help";
import { ThemeButton } from "./ThemeButton";
import { Tip } from "./Tip";

/** What every page has: the bar with the way up, the views, the search, the theme and the help. */
export function Layout({ error = false }: { error?: boolean }) {
  const { crumbs, sae } = usePageFacts();
  const help = useRef<HTMLDialogElement>(null);
  const find = useRef<HTMLDialogElement>(null);
  const openHelp = () => help.current?.showModal();
  useKeys("Everywhere", [
    { keys: ["/"], does: "find a feature, token, label, SAE or list", run: () => find.current?.showModal() },
    { keys: ["?"], does: "this list", run: openHelp },
  ]);
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="bar">
        <Link to="/" className="brand">
          lmsaes
        </Link>
        <nav className="crumbs" aria-label="Breadcrumbs">
          <ol>
            {crumbs.map(({ label, to }, i) => (
              <li key={label} aria-current={i === crumbs.length - 1 ? "page" : undefined}>
                {to !== undefined && i < crumbs.length - 1 ? <Link to={to}>{label}</Link> : label}
              </li>
            ))}
          </ol>
        </nav>
        <nav className="views" aria-label="Views">
          <NavLink to="/" end>
            home
          </NavLink>
          {sae !== undefined && <NavLink to={saePath(sae)}>browse</NavLink>}
          <NavLink to={promptPath(sae)}>prompt</NavLink>
          <NavLink to="/steer">steer</NavLink>
          <NavLink to={comparePath(sae)}>compare</NavLink>
          <NavLink to="/graphs">graphs</NavLink>
          <NavLink to="/lists">lists</NavLink>
        </nav>
        <Find dialog={find} sae={sae} />
        <button type="button" className="icon" aria-label="Keys" data-says="Keys (?)" onClick={openHelp}>
          ?
        </button>
        <ThemeButton />
      </header>
      <main id="content" tabIndex={-1}>
        {error ? <ErrorPage /> : <Outlet />}
      </main>
      <Help dialog={help} />
      <Tip />
      <Announcer />
      <ScrollRestoration />
    </>
  );
}

function Announcer() {
  return (
    <div className="heard" role="status" aria-live="polite">
      {useAnnouncement()}
    </div>
  );
}
