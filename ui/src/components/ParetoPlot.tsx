import { Link } from "react-router";
import type { SAESummary } from "../api/client";
import { fraction } from "../format";
import { saePath } from "../paths";

const WIDTH = 640;
const HEIGHT = 300;
const LEFT = 46;
const RIGHT = 20;
const TOP = 14;
const BOTTOM = 40;

interface ParetoPlotProps {
  saes: SAESummary[];
  chosen: string;
  onChoose: (name: string) => void;
}

/** Sparsity against reconstruction: L0 across (logarithmic), FVU up. */
export function ParetoPlot({ saes, chosen, onChoose }: ParetoPlotProps) {
  // What was not measured has no place in the plot; the table below lists it.
  const measured = saes.flatMap(({ l0, fvu, ...rest }) =>
    l0 === null || fvu === null ? [] : [{ ...rest, l0, fvu }],
  );
  if (measured.length === 0) return <p className="quiet">No SAE of this hook has both an L0 and an FVU.</p>;
  const l0 = span(
    measured.map((each) => Math.log2(Math.max(each.l0, 0.1))),
    0.5,
  );
  const fvu = span(
    measured.map((each) => each.fvu),
    0.02,
  );
  const x = (value: number) =>
    LEFT + ((Math.log2(Math.max(value, 0.1)) - l0.low) / (l0.high - l0.low)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) =>
    HEIGHT - BOTTOM - ((value - fvu.low) / (fvu.high - fvu.low)) * (HEIGHT - TOP - BOTTOM);
  const powers = range(Math.ceil(l0.low), Math.floor(l0.high)).map((power) => 2 ** power);
  const levels = ticks(fvu.low, fvu.high);
  const families = Map.groupBy(measured, (each) => each.architecture);
  return (
    <>
      <svg className="plot" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-label="L0 and FVU of each SAE">
        {powers.map((power) => (
          <g key={power}>
            <line x1={x(power)} x2={x(power)} y1={TOP} y2={HEIGHT - BOTTOM} />
            <text x={x(power)} y={HEIGHT - BOTTOM + 16} textAnchor="middle">
              {power}
            </text>
          </g>
        ))}
        {levels.map((level) => (
          <g key={level}>
            <line x1={LEFT} x2={WIDTH - RIGHT} y1={y(level)} y2={y(level)} />
            <text x={LEFT - 8} y={y(level) + 4} textAnchor="end">
              {fraction(level).replace(/(\.\d\d)0$/, "$1")}
            </text>
          </g>
        ))}
        <text x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 6} textAnchor="middle">
          L0, active features per token
        </text>
        {[...families].map(([architecture, members]) => (
          <g key={architecture} className={`dots ${architecture}`}>
            <polyline
              points={members
                .toSorted((a, b) => a.l0 - b.l0)
                .map((each) => `${x(each.l0)},${y(each.fvu)}`)
                .join(" ")}
            />
            {members.map((each) => (
              <Link
                key={each.name}
                to={saePath(each.name)}
                aria-label={`${each.name}: L0 ${each.l0.toFixed(1)}, FVU ${fraction(each.fvu)}`}
                onPointerEnter={() => onChoose(each.name)}
                onFocus={() => onChoose(each.name)}
              >
                <circle
                  cx={x(each.l0)}
                  cy={y(each.fvu)}
                  r={each.name === chosen ? 7.5 : 5}
                  className={each.name === chosen ? "chosen" : undefined}
                />
              </Link>
            ))}
          </g>
        ))}
      </svg>
      <p className="legend">
        {[...families.keys()].map((architecture) => (
          <span key={architecture}>
            <i className={`dot ${architecture}`} /> {architecture}
          </span>
        ))}
        <span className="last">a dot is a link</span>
      </p>
    </>
  );
}

/** Lowest and highest value with air around them, at least `air` on each side. */
function span(values: number[], air: number): { low: number; high: number } {
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = Math.max(air, (high - low) * 0.12);
  return { low: low - margin, high: high + margin };
}

/** Four to nine round values between two. */
function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const spacing = ([5, 2, 1].find((each) => each * power <= rough) ?? 1) * power;
  return range(Math.ceil(low / spacing), Math.floor(high / spacing)).map(
    (i) => Math.round(i * spacing * 1e6) / 1e6,
  );
}

function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => first + i);
}
