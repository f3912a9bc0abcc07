/** Keys, each with what it does: the help lists those that work where one is. */
import { useLayoutEffect, useRef, useSyncExternalStore } from "react";

export interface Key {
  /** As `KeyboardEvent.key` names them; any of them does. Never Tab. */
  keys: readonly string[];
  does: string;
  run: (key: string) => void;
}

interface Group {
  name: string;
  keys: readonly Key[];
}

let groups: readonly { current: Group }[] = [];
const watchers = new Set<() => void>();

function change(next: typeof groups): void {
  groups = next;
  for (const watcher of watchers) watcher();
}

/**
 * The keys of a page or of a part of it, while it is shown. Those that came last come first. They
 * rest while somebody types, while a dialog or menu is open, with a modifier, and when an element
 * has used the key itself.
 */
export function useKeys(name: string, keys: readonly Key[]): void {
  const group = useRef<Group>({ name, keys });
  // In the same commit as what is shown: a key pressed at once must not act on the page before.
  useLayoutEffect(() => {
    group.current = { name, keys };
  });
  useLayoutEffect(() => {
    change([group, ...groups]);
    return () => change(groups.filter((each) => each !== group));
  }, []);
}

function press(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  const target = event.target as HTMLElement;
  if (target.closest?.("input, select, textarea, dialog, [popover], [contenteditable]")) return;
  if (event.key === "Enter" && target.closest?.("a, button, [role=tab], summary")) return;
  for (const { current } of groups) {
    const found = current.keys.find((each) => each.keys.includes(event.key));
    if (found) {
      event.preventDefault();
      found.run(event.key);
      return;
    }
  }
}

if (typeof window !== "undefined") window.addEventListener("keydown", press);

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

/** The keys that work now, by part of the page. */
export function useKeyGroups(): Group[] {
  const now = useSyncExternalStore(watch, () => groups);
  return now.map((group) => group.current).filter((group) => group.keys.length > 0);
}

const DRAWN: Record<string, string> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Escape: "Esc",
};

export const drawnKey = (key: string): string => DRAWN[key] ?? key;
