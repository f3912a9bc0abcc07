import { Link } from "react-router";
import type { FeatureRow, FeatureTable as Table } from "../api/client";
import { activation, count, percent } from "../format";
import { featurePath } from "../paths";
import { PAGE, writeTable, type TableState } from "../table";
import { alone } from "../tokens";
import { TokenText } from "./Tokens";
import { Bars } from "./Bars";


interface FeatureTableProps {
  name: string;
  table: Table;
  state: TableState;
  counts: [TableState["filter"], number][];
  pages: number;
}

/** Features a page at a time: filtered, sorted over all of them, one example line each. */
export function FeatureTable({ name, table, state, counts, pages }: FeatureTableProps) {
  const largest = {
    maximum: Math.max(...table.rows.map((row) => row.maximum)),
    mean: Math.max(...table.rows.map((row) => row.mean ?? 0)),
  };
  const last = Math.min(table.offset + PAGE, table.total);
  return (
    <section aria-label="Features">
      <div className="chips">
        {counts.map(([filter, number]) => (
          <Link
            key={filter}
            to={writeTable({ ...state, filter, page: 1 })}
            aria-current={filter === state.filter ? "true" : undefined}
            preventScrollReset
          >
            {filter} <span>{count(number)}</span>
          </Link>
        ))}
        <nav className="pages" aria-label="Pages">
          <Turn state={state} by={-1} pages={pages}>
            ← previous
          </Turn>
          <span>
            {table.total === 0 ? "none" : `${count(table.offset + 1)}–${count(last)}`} of{" "}
            {count(table.total)}
          </span>
          <Turn state={state} by={1} pages={pages}>
            next →
          </Turn>
        </nav>
      </div>
      <div className="scroll">
        <table className="features">
          <thead>
            <tr>
              <Column sort="index" state={state} />
              <th scope="col" className="text">
                strongest example
              </th>
              <Column sort="density" state={state} />
              <Column sort="maximum" state={state} />
              <Column sort="mean" state={state} />
              <th scope="col" className="text">
                promotes
              </th>
              <th scope="col" className="text">
                activations
              </th>
            </tr>
          </thead>
          <tbody>
            {table.rows.map((row) => (
              <Row key={row.index} name={name} row={row} largest={largest} />
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

interface RowProps {
  name: string;
  row: FeatureRow;
  largest: { maximum: number; mean: number };
}

function Row({ name, row, largest }: RowProps) {
  return (
    <tr>
      <td>
        <Link to={featurePath(name, row.index)} className="whole-row">
          {count(row.index)}
        </Link>
      </td>
      <td className="example">
        {row.example ? (
          <div>
            <TokenText {...row.example} peak={row.example.position} maximum={row.maximum} />
          </div>
        ) : (
          <span className="quiet">never active</span>
        )}
      </td>
      <td>{percent(row.density)}</td>
      <td>{activation(row.maximum, largest.maximum)}</td>
      <td>{activation(row.mean, largest.mean)}</td>
      <td className="promoted">
        {row.promotes.map(({ id, token }) => (
          <code key={id}>{alone(token)}</code>
        ))}
      </td>
      <td>
        <Bars
          className="small"
          counts={row.histogram.counts}
          logarithmic
          label={`${count(row.firings)} activations up to ${activation(row.maximum)}`}
          describe={(bar) => count(row.histogram.counts[bar] ?? 0)}
        />
      </td>
    </tr>
  );
}

/** A heading that sorts; the one that does turns its order. */
function Column({ sort, state }: { sort: TableState["sort"]; state: TableState }) {
  const sorted = sort === state.sort;
  const first = sort === "index" ? "ascending" : "descending";
  const other = state.order === "ascending" ? "descending" : "ascending";
  return (
    <th scope="col" aria-sort={sorted ? state.order : "none"}>
      <Link to={writeTable({ ...state, sort, order: sorted ? other : first, page: 1 })} preventScrollReset>
        {sort === "index" ? "feature" : sort}
        <span className="arrow" aria-hidden="true">
          {sorted ? (state.order === "ascending" ? "↑" : "↓") : "↕"}
        </span>
      </Link>
    </th>
  );
}

function Turn({
  state,
  by,
  pages,
  children,
}: {
  state: TableState;
  by: number;
  pages: number;
  children: string;
}) {
  const page = state.page + by;
  if (page < 1 || page > pages) return <span className="off">{children}</span>;
  return (
    <Link to={writeTable({ ...state, page })} preventScrollReset>
      {children}
    </Link>
  );
}
