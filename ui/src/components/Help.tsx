import type { RefObject } from "react";

const KEYS: [string[], string][] = [
  [["←", "→"], "previous and next feature; on an SAE's page, page of its table"],
  [["r"], "random feature of the SAE"],
  [["?"], "this list"],
  [["Tab"], "from context to context; ← and → then go from active token to active token"],
  [["Esc"], "leaves the tokens, closes this list"],
];

/** The keys, in a dialog. */
export function Help({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  return (
    <dialog ref={dialog} aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      <dl className="keys">
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>
              {keys.map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <form method="dialog">
        <button type="submit" className="plain">
          Close
        </button>
      </form>
    </dialog>
  );
}

/** The keys of one page, at its foot. */
export function KeyHints({ hints }: { hints: [string[], string][] }) {
  return (
    <footer className="hints">
      {[...hints, [["?"], "all keys"] as [string[], string]].map(([keys, what]) => (
        <span key={what}>
          {keys.map((key) => (
            <kbd key={key}>{key}</kbd>
          ))}{" "}
          {what}
        </span>
      ))}
    </footer>
  );
}
