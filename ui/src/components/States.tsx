/** What a part of a page shows instead of its contents: loading, nothing, failure. */
import type { ReactNode } from "react";

/** Lines where rows will come, at their final height; shown after 150 ms. */
export function Skeleton({ rows, height = 25, label = "Loading" }: { rows: number; height?: number; label?: string }) {
  return (
    <div className="skeleton" role="status" aria-label={label} style={{ gap: height - 10 }}>
      {Array.from({ length: rows }, (_, row) => (
        <i key={row} style={{ width: `${94 - ((row * 37) % 40)}%` }} />
      ))}
    </div>
  );
}

/** Nothing is here: says why, and what would fill it as a command or a button. */
export function Empty({ children, command }: { children: ReactNode; command?: string | undefined }) {
  return (
    <div className="empty">
      {children}
      {command !== undefined && <pre className="command">{command}</pre>}
    </div>
  );
}

/** What failed, in the server's words, where it failed; the rest of the page stands. */
export function Failed({ what, error, retry }: { what: string; error: Error; retry?: (() => void) | undefined }) {
  return (
    <div className="failed" role="alert">
      <b>{what}</b> {error.message}
      {retry && (
        <>
          {" "}
          <button type="button" className="link" onClick={retry}>
            Try again
          </button>
        </>
      )}
    </div>
  );
}
