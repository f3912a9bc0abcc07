import type { ReactNode } from "react";
import { alone } from "../tokens";

export interface BarredRow {
  token: string;
  /** Length of the bar, of the longest. */
  length: number;
  figure: string;
  second?: string;
  says?: string;
}

/** Tokens with a bar and one or two figures each; `about` says what the figures are. */
export function Barred({ title, about, rows, children }: { title: string; about: string; rows: readonly BarredRow[]; children?: ReactNode }) {
  const longest = Math.max(...rows.map((row) => row.length), Number.MIN_VALUE);
  return (
    <section>
      <h2>
        {title} <small>{about}</small>
      </h2>
      <ol>
        {rows.map((row, i) => (
          // Two tokens may look the same.
          // oxlint-disable-next-line react/no-array-index-key
          <li key={`${i} ${row.token}`} className="barred" data-says={row.says}>
            <code>{alone(row.token)}</code>
            <i style={{ width: `${(100 * Math.max(row.length, 0)) / longest}%` }} />
            <span>{row.figure}</span>
            {row.second !== undefined && <span>{row.second}</span>}
          </li>
        ))}
      </ol>
      {children}
    </section>
  );
}
