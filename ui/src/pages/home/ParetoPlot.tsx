import { scaleLinear, scaleLog } from "d3-scale";
import { useId, useRef, useState, type KeyboardEvent } from "react";
import { colorOf } from "../../components/plots/colors";
import { logTicks } from "../../components/plots/ticks";
import { useWidth } from "../../components/plots/width";
import { families, middle, radius, split, widened, type Point } from "./pareto";

const HEIGHT = 300;
const MARGIN = { left: 44, right: 22, top: 30, bottom: 44 };
/** L0 below this is drawn at the edge: a logarithm has no place for 0. */
const LEAST_L0 = 0.01;

interface ParetoPlotProps {
  points: Point[];
  /** What stands upwards, and how its figures are written. */
  title: string;
  format: (value: number) => string;
  marked: readonly string[];
  onMark: (name: string) => void;
}

/**
 * A measurement of each SAE against its L0, drawn for the width that there is. One Tab stop; arrow
 * keys walk the SAEs from left to right, Enter marks one.
 */
export function ParetoPlot({ points, title, format, marked, onMark }: ParetoPlotProps) {
  const [frame, width] = useWidth<HTMLDivElement>();
  const [current, setCurrent] = useState<string | null>(null);
  const [shown, setShown] = useState<string | null>(null);
  const svg = useRef<SVGSVGElement>(null);
  const describe = useId();
  const widths = points.map(({ features }) => features);
  const placed = points.map((point) => ({ ...point, x: Math.max(point.x, LEAST_L0) }));
  const logs = middle(placed.map(({ x }) => Math.log2(x)), 3);
  const across = widened(logs, 0.07, 0.4);
  const xExtent = { low: 2 ** across.low, high: 2 ** across.high };
  const yExtent = widened(middle(placed.map(({ y }) => y), 0.1), 0.12, 0.004);
  const { inside, outside } = split(placed, xExtent, yExtent);

  const x = scaleLog([xExtent.low, xExtent.high], [MARGIN.left, width - MARGIN.right]).base(2);
  const y = scaleLinear([yExtent.low, yExtent.high], [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const clampX = (value: number) =>
    Math.min(Math.max(x(value), MARGIN.left), width - MARGIN.right);
  const bottom = HEIGHT - MARGIN.bottom;
  const order = [...outside, ...inside].toSorted((a, b) => a.x - b.x || a.y - b.y);
  const stop = order.some(({ name }) => name === current) ? current : (order[0]?.name ?? null);

  function walk(event: KeyboardEvent<SVGElement>, name: string) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      const next = order[order.findIndex((each) => each.name === name) + step]?.name;
      if (next) {
        setCurrent(next);
        svg.current?.querySelector<SVGElement>(`[data-name="${CSS.escape(next)}"]`)?.focus();
      }
    } else if (event.key === "Enter" || event.key === " ") {
      onMark(name);
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  const dot = (point: Point) => ({
    role: "button",
    tabIndex: point.name === stop ? 0 : -1,
    "data-name": point.name,
    "aria-pressed": marked.includes(point.name),
    "aria-label": `${point.name}: L0 ${figure(point.x)}, ${title} ${format(point.y)}`,
    onClick: () => onMark(point.name),
    onKeyDown: (event: KeyboardEvent<SVGElement>) => walk(event, point.name),
    onFocus: () => {
      setCurrent(point.name);
      setShown(point.name);
    },
    onBlur: () => setShown(null),
    onPointerEnter: () => setShown(point.name),
    onPointerLeave: () => setShown(null),
  });

  return (
    <div ref={frame} className="pareto">
      <svg
        ref={svg}
        className="chart"
        width={width}
        height={HEIGHT + Math.max(outside.length - 1, 0) * 16}
        role="group"
        aria-describedby={describe}
        aria-label={`${title} by L0`}
      >
        <g aria-hidden="true">
          {logTicks(xExtent.low, xExtent.high, 2, width / 46).map((power) => (
            <g key={power}>
              <line className="grid" x1={x(power)} x2={x(power)} y1={MARGIN.top} y2={bottom} />
              <text x={x(power)} y={bottom + 16} textAnchor="middle">
                {power}
              </text>
            </g>
          ))}
          {y.ticks(5).map((level) => (
            <g key={level}>
              <line
                className="grid"
                x1={MARGIN.left}
                x2={width - MARGIN.right}
                y1={y(level)}
                y2={y(level)}
              />
              <text x={MARGIN.left - 8} y={y(level) + 4} textAnchor="end">
                {format(level)}
              </text>
            </g>
          ))}
          <text x={width - MARGIN.right} y={HEIGHT - 10} textAnchor="end">
            L0, active features per token →
          </text>
          {families(inside).map(({ key, architecture, points: members }) => (
            <polyline
              key={key}
              className="family"
              stroke={colorOf(architecture)}
              points={members.map((each) => `${x(each.x)},${y(each.y)}`).join(" ")}
            />
          ))}
          {inside.map((each) => (
            <ErrorBars key={each.name} point={each} x={x} y={y} />
          ))}
        </g>
        {inside
          .toSorted((a, b) => b.features - a.features)
          .map((each) => (
            <g key={each.name} {...dot(each)} className="dot-mark">
              <circle className="reach" cx={x(each.x)} cy={y(each.y)} r={12} />
              <circle
                className={marked.includes(each.name) ? "point on" : "point"}
                cx={x(each.x)}
                cy={y(each.y)}
                r={radius(each.features, widths)}
                fill={colorOf(each.architecture)}
              />
            </g>
          ))}
        {outside.map((each, row) => {
          const at = clampX(each.x);
          const toLeft = at > width / 2;
          const top = 12 + row * 16;
          return (
            <g key={each.name} {...dot(each)} className="dot-mark">
              <path
                className={marked.includes(each.name) ? "edge on" : "edge"}
                d={`M${at - 5},${top + 4}h10l-5,-9z`}
              />
              <text x={at + (toLeft ? -10 : 10)} y={top + 4} textAnchor={toLeft ? "end" : "start"}>
                {each.name}: outside, {title} {format(each.y)}, L0 {figure(each.x)}
              </text>
            </g>
          );
        })}
        <g aria-hidden="true" className="names">
          {inside
            .filter((each) => each.name === shown || marked.includes(each.name))
            .map((each) => {
              const toLeft = x(each.x) > width / 2;
              const text =
                each.name === shown
                  ? `${each.name} · L0 ${figure(each.x)} · ${format(each.y)}`
                  : each.name;
              return (
                <text
                  key={each.name}
                  x={x(each.x) + (toLeft ? -11 : 11)}
                  y={y(each.y) + (each.name === shown ? -8 : 16)}
                  textAnchor={toLeft ? "end" : "start"}
                >
                  {text}
                </text>
              );
            })}
        </g>
      </svg>
      <p id={describe} className="heard">
        Arrow keys go from one SAE to the next, Enter marks it for comparing. The table below has all
        figures.
      </p>
    </div>
  );
}

type Scale = (value: number) => number;

/** The 95 % intervals of a point, where they were measured. */
function ErrorBars({ point, x, y }: { point: Point; x: Scale; y: Scale }) {
  const { xError, yError } = point;
  return (
    <g className="errors" stroke={colorOf(point.architecture)}>
      {yError !== null && (
        <line
          x1={x(point.x)}
          x2={x(point.x)}
          y1={y(point.y - yError)}
          y2={y(point.y + yError)}
        />
      )}
      {xError !== null && (
        <line
          x1={x(Math.max(point.x - xError, LEAST_L0))}
          x2={x(point.x + xError)}
          y1={y(point.y)}
          y2={y(point.y)}
        />
      )}
    </g>
  );
}

const figure = (value: number) => (value < 1 ? value.toFixed(2) : value.toFixed(1));
