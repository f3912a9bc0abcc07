import { useMemo, useRef, useState } from "react";
import { Link, Outlet, ScrollRestoration, useNavigation } from "react-router";
import { useKeys } from "../keys";
import { CrumbBar } from "./Crumbs";
import { ErrorPage } from "./ErrorPage";
import { Help } from "./Help";
import { ThemeButton } from "./ThemeButton";

/** What every page has: the bar with the way back, the theme and the help. */
export function Layout({ error = false }: { error?: boolean }) {
  const waiting = useNavigation().state !== "idle";
  const [crumbBar, setCrumbBar] = useState<HTMLElement | null>(null);
  const help = useRef<HTMLDialogElement>(null);
  const keys = useMemo(() => ({ "?": () => help.current?.showModal() }), []);
  useKeys(keys);
  return (
    <>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="bar">
        <Link to="/" className="brand">
          lmsaes
        </Link>
        <nav className="crumbs" ref={setCrumbBar} aria-label="Breadcrumbs" />
        <button
          type="button"
          className="icon"
          aria-label="Keys"
          title="Keys (?)"
          onClick={() => help.current?.showModal()}
        >
          ?
        </button>
        <ThemeButton />
      </header>
      <main id="content" aria-busy={waiting}>
        <CrumbBar value={crumbBar}>{error ? <ErrorPage /> : <Outlet />}</CrumbBar>
      </main>
      <Help dialog={help} />
      <ScrollRestoration />
    </>
  );
}
