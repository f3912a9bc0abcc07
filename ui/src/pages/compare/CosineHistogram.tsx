import { max } from "d3-array";
import { useWidth } from "../../components/plots/width";
import { count, share } from "../../format";
import { histogram, type Match } from "./matching";

const HEIGHT = 110;
const LEFT = 38;
const BOTTOM = 18;
const BINS = 20;

interface CosineHistogramProps {
  sides: readonly { name: string; color: string; matches: readonly Match[] }[];
  threshold: number;
}

/** How similar the best partners are, of each SAE's features. */
export function CosineHistogram({ sides, threshold }: CosineHistogramProps) {
  const [frame, width] = useWidth<HTMLDivElement>();
  const bars = sides.map(({ matches }) => histogram(matches.map(({ cosine }) => cosine), BINS));
  const most = max(bars.flat()) || 1;
  const x = (value: number) => LEFT + value * (width - LEFT - 12);
  const y = (value: number) => HEIGHT - BOTTOM - (value / most) * (HEIGHT - BOTTOM - 12);
  return (
    <div ref={frame}>
      <svg className="chart" width={width} height={HEIGHT} role="img" aria-label={`Best cosines: ${sides.map(({ name }) => name).join(" and ")}`}>
        <text x={LEFT - 6} y={16} textAnchor="end">
          {count(most)}
        </text>
        {sides.map(({ name, color }, i) => (
          <path
            key={name}
            fill="none"
            stroke={color}
            strokeWidth={1.5}
            d={(bars[i] ?? [])
              .map((n, bin) => `${bin === 0 ? "M" : "L"}${x(bin / BINS)},${y(n)}H${x((bin + 1) / BINS)}`)
              .join("")}
          />
        ))}
        <line className="threshold" x1={x(threshold)} x2={x(threshold)} y1={8} y2={HEIGHT - BOTTOM} />
        {[0, 0.25, 0.5, 0.75, 1].map((level) => (
          <text key={level} x={x(level)} y={HEIGHT - 4} textAnchor="middle">
            {level === 0 ? "0" : share(level)}
          </text>
        ))}
      </svg>
    </div>
  );
}
