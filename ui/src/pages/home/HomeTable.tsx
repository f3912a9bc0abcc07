import { Link } from "react-router";
import { colorOf } from "../../components/plots/colors";
import type { SAESummary } from "../../api/client";
import { Wide } from "../../components/lab/Wide";
import { compact, count, decimal, fraction, percent } from "../../format";
import { saePath } from "../../paths";
import type { Cell } from "./rows";

export interface Column {
  key: string;
  title: string;
  /** What the figure means, on hover. */
  about?: string;
  cell: (sae: SAESummary) => Cell;
  show: (sae: SAESummary) => string;
  /** Its standard error, as it is shown; null where it was not measured. */
  error?: (sae: SAESummary) => string | null;
}

export const COLUMNS: Column[] = [
  { key: "name", title: "SAE", cell: ({ name }) => name, show: ({ name }) => name },
  {
    key: "architecture",
    title: "architecture",
    cell: ({ architecture }) => architecture,
    show: ({ architecture }) => architecture,
  },
  {
    key: "features",
    title: "features",
    cell: ({ features }) => features,
    show: ({ features }) => count(features),
  },
  {
    key: "l0",
    title: "L0",
    about: "mean number of active features per token",
    cell: ({ l0 }) => l0,
    show: ({ l0 }) => decimal(l0),
    error: ({ l0_error }) => shown(l0_error, decimal),
  },
  {
    key: "fvu",
    title: "FVU",
    about: "fraction of the activations' variance that is left unexplained",
    cell: ({ fvu }) => fvu,
    show: ({ fvu }) => fraction(fvu),
    error: ({ fvu_error }) => shown(fvu_error, fraction),
  },
  {
    key: "ce_recovered",
    title: "loss recovered",
    about: "share of the model's cross-entropy that is kept, against setting the hook to zero",
    cell: ({ ce_recovered }) => ce_recovered,
    show: ({ ce_recovered }) => percent(ce_recovered),
    error: ({ ce_recovered_error }) => shown(ce_recovered_error, percent),
  },
  {
    key: "dead_fraction",
    title: "dead",
    about: "share of the features that never fired",
    cell: ({ dead_fraction }) => dead_fraction,
    show: ({ dead_fraction }) => (dead_fraction === 0 ? "0" : percent(dead_fraction)),
  },
  {
    key: "tokens_trained",
    title: "trained on",
    about: "tokens",
    cell: ({ tokens_trained }) => tokens_trained,
    show: ({ tokens_trained }) => compact(tokens_trained),
  },
];

function shown(error: number | null, format: (value: number) => string): string | null {
  return error === null ? null : format(error);
}

interface HomeTableProps {
  saes: SAESummary[];
  columns: Column[];
  sort: string;
  descending: boolean;
  onSort: (key: string) => void;
  marked: readonly string[];
  onMark: (name: string) => void;
}

/** The SAEs of a hook with what was measured of each; a header sorts, a box marks for comparing. */
export function HomeTable(props: HomeTableProps) {
  const { saes, columns, sort, descending, onSort, marked, onMark } = props;
  return (
    <Wide label="SAEs">
      <table className="table home-table">
        <thead>
          <tr>
            <th scope="col" className="box">
              <span className="heard">marked</span>
            </th>
            {columns.map(({ key, title, about }) => (
              <th
                key={key}
                scope="col"
                className={key === "name" || key === "architecture" ? "text" : undefined}
                aria-sort={sort === key ? (descending ? "descending" : "ascending") : undefined}
              >
                <button type="button" className="sorter" title={about} onClick={() => onSort(key)}>
                  {title}
                  {sort === key && <span aria-hidden="true">{descending ? " ↓" : " ↑"}</span>}
                </button>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {saes.map((sae) => (
            <tr key={sae.name} data-sae={sae.name} className={marked.includes(sae.name) ? "on" : undefined}>
              <td className="box">
                <input
                  type="checkbox"
                  aria-label={`Mark ${sae.name}`}
                  checked={marked.includes(sae.name)}
                  onChange={() => onMark(sae.name)}
                />
              </td>
              {columns.map((column) => (
                <Figure key={column.key} column={column} sae={sae} />
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}

function Figure({ column, sae }: { column: Column; sae: SAESummary }) {
  const text = column.show(sae);
  if (column.key === "name") {
    return (
      <th scope="row" className="text">
        <Link to={saePath(sae.name)}>{text}</Link>
      </th>
    );
  }
  if (column.key === "architecture") {
    return (
      <td className="text">
        <i className="dot" style={{ background: colorOf(sae.architecture) }} />
        {text}
      </td>
    );
  }
  const error = column.error?.(sae) ?? null;
  const title = column.cell(sae) === null ? "not measured" : undefined;
  return (
    <td title={title}>
      {text}
      {error !== null && <small> ± {error}</small>}
    </td>
  );
}
