import { lazy, Suspense, useDeferredValue, useRef, useState, type FormEvent, type KeyboardEvent, type RefObject } from "react";
import { Link, useNavigate } from "react-router";
import { featurePath, searchPath } from "../paths";
import { Skeleton } from "./States";

// Once something is searched.
const Results = lazy(async () => ({ default: (await import("../pages/search/Results")).Results }));
const SHOWN = 8;

/**
 * The search of every page, in a dialog: results as one types, with arrow keys among them. Enter
 * takes a number to its feature of the SAE that is shown, all else to the page of all results.
 */
export function Find({ dialog, sae }: { dialog: RefObject<HTMLDialogElement | null>; sae?: string | undefined }) {
  const navigate = useNavigate();
  const input = useRef<HTMLInputElement>(null);
  const [text, setText] = useState("");
  const query = useDeferredValue(text.trim());
  const close = () => dialog.current?.close();

  function search(event: FormEvent) {
    event.preventDefault();
    const wanted = text.trim();
    if (wanted === "") return;
    close();
    const number = /^\d+$/.test(wanted) && sae !== undefined;
    void navigate(number ? featurePath(sae, Number(wanted)) : searchPath(wanted, sae));
  }
  function walk(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const stops = [input.current, ...(dialog.current?.querySelectorAll<HTMLElement>(".results a") ?? [])];
    const at = stops.indexOf(document.activeElement as HTMLInputElement);
    stops[Math.min(Math.max(at + step, 0), stops.length - 1)]?.focus();
  }
  return (
    <>
      <button type="button" className="find" aria-keyshortcuts="/" onClick={() => dialog.current?.showModal()}>
        <span>feature, token, label</span>
        <kbd aria-hidden="true">/</kbd>
      </button>
      {/* A click on what is around it closes it; Esc does, by the browser. */}
      {/* oxlint-disable-next-line jsx-a11y/click-events-have-key-events, jsx-a11y/no-noninteractive-element-interactions */}
      <dialog
        ref={dialog}
        className="search-dialog"
        aria-label="Search"
        onClick={(event) => {
          const target = event.target as HTMLElement;
          if (target === dialog.current || target.closest("a")) close();
        }}
        onKeyDown={walk}
        onClose={() => setText("")}
      >
        <form role="search" onSubmit={search}>
          <input
            ref={input}
            className="field"
            aria-label="Feature, token, label, SAE or list"
            placeholder="feature, token, label, SAE or list"
            value={text}
            onChange={(event) => setText(event.currentTarget.value)}
          />
        </form>
        {query !== "" && (
          <>
            <div className="found">
              <Suspense fallback={<Skeleton rows={6} label="Searching" />}>
                <Results query={query} sae={sae} most={SHOWN} />
              </Suspense>
            </div>
            <Link to={searchPath(query, sae)}>all that is found</Link>
          </>
        )}
      </dialog>
    </>
  );
}
