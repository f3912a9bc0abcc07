import type { ReactNode } from "react";

/** What may be wider than the page, scrolled by itself; keys scroll it when it has the focus. */
export function Wide({ label, children }: { label: string; children: ReactNode }) {
  return (
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a region that scrolls is a stop
    <div className="scrollx" role="region" aria-label={label} tabIndex={0}>
      {children}
    </div>
  );
}
