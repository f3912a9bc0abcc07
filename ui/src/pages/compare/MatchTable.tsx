import { useState } from "react";
import { Link } from "react-router";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { Wide } from "../../components/lab/Wide";
import { share } from "../../format";
import { featurePath } from "../../paths";
import type { Match } from "./matching";

const AT_ONCE = 40;

interface MatchTableProps {
  a: string;
  b: string;
  rows: readonly Match[];
  selected: Match | null;
  onSelect: (match: Match) => void;
}

/** Partner beside partner, with what each fires on. */
export function MatchTable({ a, b, rows, selected, onSelect }: MatchTableProps) {
  const [shown, setShown] = useState(AT_ONCE);
  return (
    <Wide label="Features and their partners">
      <table className="table matches">
        <thead>
          <tr>
            <th scope="col">{a}</th>
            <th scope="col" className="text">
              fires on
            </th>
            <th scope="col">cosine</th>
            <th scope="col">r</th>
            <th scope="col" className="text">
              fires on
            </th>
            <th scope="col">{b}</th>
          </tr>
        </thead>
        <tbody>
          {rows.slice(0, shown).map((match) => (
            <tr key={match.feature} className={match.feature === selected?.feature ? "on" : undefined}>
              <th scope="row">
                <Link to={featurePath(a, match.feature)}>{match.feature}</Link>
              </th>
              <td className="text">
                <FeatureLabel sae={a} index={match.feature} />
              </td>
              <td>
                <button
                  type="button"
                  className="link"
                  aria-label={`One text through ${match.feature} and ${match.partner}, cosine ${share(match.cosine)}`}
                  onClick={() => onSelect(match)}
                >
                  {share(match.cosine)}
                </button>
              </td>
              <td className="soft">{share(match.correlation)}</td>
              <td className="text">
                <FeatureLabel sae={b} index={match.partner} />
              </td>
              <td>
                <Link to={featurePath(b, match.partner)}>{match.partner}</Link>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > shown && (
        <button type="button" className="button more" onClick={() => setShown(shown + 4 * AT_ONCE)}>
          {rows.length - shown} more
        </button>
      )}
    </Wide>
  );
}
