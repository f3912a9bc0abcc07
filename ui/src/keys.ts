import { useLayoutEffect } from "react";

/**
 * Keys of a page. They rest while somebody types, while a dialog is open, with a modifier, and
 * when an element has used the key itself.
 */
export function useKeys(keys: Record<string, () => void>): void {
  // In the same commit as what is shown: a key pressed at once must not act on the page before.
  useLayoutEffect(() => {
    function press(event: KeyboardEvent) {
      if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
      const target = event.target as HTMLElement;
      if (target.closest("input, select, textarea, dialog, [contenteditable]")) return;
      const action = keys[event.key];
      if (action) {
        event.preventDefault();
        action();
      }
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [keys]);
}
