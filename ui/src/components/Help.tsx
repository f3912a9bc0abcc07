import type { RefObject } from "react";
import { drawnKey, useKeyGroups } from "../keys";

/** The keys that work on this page, in a dialog. */
export function Help({ dialog }: { dialog: RefObject<HTMLDialogElement | null> }) {
  const groups = useKeyGroups();
  return (
    <dialog ref={dialog} className="help" aria-labelledby="keys-title">
      <h2 id="keys-title">Keys</h2>
      {groups.map((group) => (
        <section key={group.name}>
          <h3>{group.name}</h3>
          <dl>
            {group.keys.map(({ keys, does }) => (
              <div key={does}>
                <dt>
                  {keys.map((key) => (
                    <kbd key={key}>{drawnKey(key)}</kbd>
                  ))}
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
      <form method="dialog">
        <button type="submit" className="button">
          Close
        </button>
      </form>
    </dialog>
  );
}
