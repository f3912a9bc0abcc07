import type { ReactNode } from "react";

/** A figure with its meaning on hover and on focus. */
export function Explain({ says, children }: { says: string; children: ReactNode }) {
  return (
    // A figure takes the focus so that what it means is there without a pointer.
    // oxlint-disable-next-line jsx-a11y/no-noninteractive-tabindex
    <span className="explained" tabIndex={0} role="note" data-says={says}>
      {children}
    </span>
  );
}
