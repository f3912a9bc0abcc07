import { max, min } from "d3-array";
import { scaleLinear, scaleLog } from "d3-scale";
import { colorOf } from "../../components/plots/colors";
import { logTicks } from "../../components/plots/ticks";
import { useWidth } from "../../components/plots/width";
import { compact } from "../../format";
import { spread } from "./pareto";

const HEIGHT = 300;
const MARGIN = { left: 42, top: 12, bottom: 30 };
const LABELS = 132;
const GAP = 12.5;

export interface Curve {
  name: string;
  architecture: string;
  /** Tokens trained on, and the measurement there. */
  points: { tokens: number; value: number }[];
}

interface TrainingCurvesProps {
  curves: Curve[];
  title: string;
  /** FVU falls by factors; L0 and shares of dead features are drawn on a plain scale. */
  logarithmic: boolean;
  format: (value: number) => string;
  marked: readonly string[];
}

/** What was measured while training, by tokens; names stand at the ends of the lines. */
export function TrainingCurves(props: TrainingCurvesProps) {
  const { curves, title, logarithmic, format, marked } = props;
  const [frame, width] = useWidth<HTMLDivElement>();
  const drawn = curves.filter(({ points }) => points.length > 0);
  const names = drawn.length <= 18;
  const right = width - (names ? LABELS : 12);
  const bottom = HEIGHT - MARGIN.bottom;
  const values = drawn.flatMap(({ points }) => points.map(({ value }) => value));
  const positive = values.filter((value) => value > 0);
  const isLog = logarithmic && positive.length === values.length && values.length > 0;
  const low = min(values) ?? 0;
  const high = max(values) ?? 1;
  const room = high > low ? 0 : Math.abs(high) * 0.1 || 1;
  const y = isLog
    ? scaleLog([low * 0.94, high * 1.06], [bottom, MARGIN.top])
    : scaleLinear([Math.max(low - room, Math.min(low, 0)), high + room], [bottom, MARGIN.top]);
  const last = max(drawn, ({ points }) => points.at(-1)?.tokens ?? 0) ?? 0;
  const x = scaleLinear([0, last], [MARGIN.left, right]);
  const ends = spread(
    drawn.map(({ points }) => y(points.at(-1)?.value ?? low)),
    GAP,
    { low: MARGIN.top, high: HEIGHT - 4 },
  );
  const ticks = isLog ? logTicks(low, high, high / low > 64 ? 10 : 2, 8) : y.ticks(5);
  return (
    <div ref={frame}>
      <svg
        className="chart"
        width={width}
        height={HEIGHT}
        role="img"
        aria-label={`${title} by tokens, ${drawn.length} SAEs: ${drawn
          .map(({ name, points }) => `${name} ${format(points.at(-1)?.value ?? 0)}`)
          .join(", ")}`}
      >
        {ticks.map((level) => (
          <g key={level}>
            <line className="grid" x1={MARGIN.left} x2={right} y1={y(level)} y2={y(level)} />
            <text x={MARGIN.left - 7} y={y(level) + 4} textAnchor="end">
              {format(level)}
            </text>
          </g>
        ))}
        {[0, last / 2, last].map((tokens, i) => (
          <text
            key={tokens}
            x={x(tokens)}
            y={HEIGHT - 8}
            textAnchor={(["start", "middle", "end"] as const)[i]}
          >
            {compact(tokens)}
          </text>
        ))}
        {drawn.map(({ name, architecture, points }, i) => (
          <g key={name} className={marked.includes(name) ? "curve on" : "curve"}>
            <polyline
              stroke={colorOf(architecture)}
              points={points.map((p) => `${x(p.tokens)},${y(p.value)}`).join(" ")}
            />
            {names && (
              <text x={right + 7} y={(ends[i] ?? 0) + 4} style={{ fill: colorOf(architecture) }}>
                {shortened(name.replace(/^.*:/, ""))}
              </text>
            )}
          </g>
        ))}
      </svg>
    </div>
  );
}

const shortened = (name: string) => (name.length > 21 ? `${name.slice(0, 20)}…` : name);
