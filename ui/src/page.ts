/** What the shell says of the page that is shown: title, way up, announcements. */
import { useLayoutEffect, useSyncExternalStore } from "react";

export interface Crumb {
  label: string;
  to?: string;
}

export interface PageFacts {
  /** In the window's title and read out when one comes here. */
  title: string;
  /** The way down to the page, itself last. */
  crumbs: readonly Crumb[];
  /** The SAE it is of: the bar's links keep to it. */
  sae?: string | undefined;
}

let facts: PageFacts = { title: "", crumbs: [] };
let said = "";
const watchers = new Set<() => void>();

function watch(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => watchers.delete(watcher);
}

function tell(): void {
  for (const watcher of watchers) watcher();
}

/** Names the page. A page that changes what it shows calls it with the new facts. */
export function usePage(next: PageFacts): void {
  const key = JSON.stringify(next);
  useLayoutEffect(() => {
    facts = JSON.parse(key) as PageFacts;
    document.title = facts.title ? `${facts.title} · lmsaes` : "lmsaes";
    said = facts.title;
    tell();
  }, [key]);
}

/** Has screen readers say something: what a key did, how many rows are left. */
export function announce(text: string): void {
  said = text;
  tell();
}

export const usePageFacts = (): PageFacts => useSyncExternalStore(watch, () => facts);
export const useAnnouncement = (): string => useSyncExternalStore(watch, () => said);
