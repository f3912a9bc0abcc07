import { scaleLinear, scaleLog } from "d3-scale";
import { useEffect, useMemo, useRef, useState, type PointerEvent } from "react";
import { useSize } from "../../components/useSize";
import { useTheme } from "../../components/useTheme";
import { DENSE_FROM, numberColumn } from "../../list/columns";
import { withRange, type ListState } from "../../list/state";
import type { FeatureList } from "../../list/useList";

const LEFT = 26;
const RIGHT = 8;
const TOP = 6;
const BOTTOM = 18;

interface Box {
  x0: number;
  x1: number;
  y0: number;
  y1: number;
}

interface DensityMapProps {
  list: FeatureList;
  selected: number | undefined;
  onChange: (state: ListState) => void;
  onSelect: (row: number) => void;
}

/**
 * All features by density and maximum. Drag a box to filter, drag it to move it, click a dot to
 * open it. With keys the same is set in the menus of the two columns.
 */
export function DensityMap({ list, selected, onChange, onSelect }: DensityMapProps) {
  const { columns, selection, state } = list;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const { width, height } = useSize(frame);
  const theme = useTheme();
  const [drag, setDrag] = useState<{ from: [number, number]; box: Box | undefined; moved: boolean }>();

  const densities = useMemo(() => numberColumn("density")?.values(columns) ?? new Float32Array(), [columns]);
  const scales = useMemo(() => {
    let [least, most, highest] = [1, 0, 0];
    for (const [row, density] of densities.entries()) {
      if (density > 0) {
        least = Math.min(least, density);
        most = Math.max(most, density);
      }
      highest = Math.max(highest, columns.maximum[row] ?? 0);
    }
    const across = scaleLog([least / 1.15, Math.max(most, least * 10) * 1.15], [LEFT, Math.max(width - RIGHT, LEFT + 1)]);
    const up = scaleLinear([0, highest * 1.04 || 1], [Math.max(height - BOTTOM, TOP + 1), TOP]);
    return { across, up };
  }, [densities, columns, width, height]);
  const { across, up } = scales;

  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context || width === 0) return;
    const ratio = devicePixelRatio || 1;
    element.width = Math.round(width * ratio);
    element.height = Math.round(height * ratio);
    context.scale(ratio, ratio);
    context.clearRect(0, 0, width, height);
    const style = getComputedStyle(element);
    const [teal, rust] = [style.color, style.outlineColor];
    const size = columns.rows > 20_000 ? 1.4 : 2.2;
    // What is filtered out lies below what is not.
    for (const passes of [0, 1]) {
      for (const dense of [false, true]) {
        context.fillStyle = dense ? rust : teal;
        context.globalAlpha = passes ? (columns.rows > 20_000 ? 0.35 : 0.7) : 0.2;
        for (let row = 0; row < columns.rows; row++) {
          const density = densities[row] ?? 0;
          if (density <= 0 || selection.passes[row] !== passes || density > DENSE_FROM !== dense) continue;
          context.fillRect(across(density) - size / 2, up(columns.maximum[row] ?? 0) - size / 2, size, size);
        }
      }
    }
    // The theme is in the element's own colors.
    // oxlint-disable-next-line react/exhaustive-effect-dependencies
  }, [columns, densities, selection, across, up, width, height, theme]);

  const set = boxOf(state, across, up);

  function at(event: PointerEvent): [number, number] {
    const box = event.currentTarget.getBoundingClientRect();
    return [
      Math.min(Math.max(event.clientX - box.left, LEFT), width - RIGHT),
      Math.min(Math.max(event.clientY - box.top, TOP), height - BOTTOM),
    ];
  }
  function brush(box: Box) {
    const dense = { low: round(across.invert(box.x0)), high: round(across.invert(box.x1)) };
    const strong = { low: round(up.invert(box.y1)), high: round(up.invert(box.y0)) };
    onChange(withRange(withRange(state, "density", dense), "maximum", strong));
  }
  function move(event: PointerEvent) {
    if (drag === undefined) return;
    const [x, y] = at(event);
    const [dx, dy] = [x - drag.from[0], y - drag.from[1]];
    if (!drag.moved && Math.hypot(dx, dy) < 4) return;
    if (!drag.moved) setDrag({ ...drag, moved: true });
    const { box } = drag;
    if (box) brush({ x0: box.x0 + dx, x1: box.x1 + dx, y0: box.y0 + dy, y1: box.y1 + dy });
    else brush({ x0: Math.min(x, x - dx), x1: Math.max(x, x - dx), y0: Math.min(y, y - dy), y1: Math.max(y, y - dy) });
  }
  function release(event: PointerEvent) {
    if (drag && !drag.moved) {
      const near = nearest(list, densities, across, up, at(event));
      if (near !== undefined) onSelect(near);
    }
    setDrag(undefined);
  }

  const ring = selected === undefined ? undefined : { density: densities[selected] ?? 0, maximum: columns.maximum[selected] ?? 0 };
  return (
    <div ref={frame} className="map">
      <canvas ref={canvas} aria-hidden="true" style={{ width, height }} />
      <svg
        width={width}
        height={height}
        role="img"
        aria-label={`${columns.rows} features by density and maximum, ${selection.rows.length} in the list`}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          const from = at(event);
          setDrag({ from, box: set && inside(set, from) ? set : undefined, moved: false });
        }}
        onPointerMove={move}
        onPointerUp={release}
        onPointerCancel={() => setDrag(undefined)}
      >
        {up.ticks(4).map((tick) => (
          <g key={tick}>
            <line x1={LEFT} x2={width - RIGHT} y1={up(tick)} y2={up(tick)} />
            {tick > 0 && (
              <text x={LEFT - 6} y={up(tick) + 3.5} textAnchor="end">
                {tick}
              </text>
            )}
          </g>
        ))}
        {decades(across.domain()).map((tick) => (
          <text key={tick} x={across(tick)} y={height - 4} textAnchor="middle">
            {`${Number((tick * 100).toPrecision(1))} %`}
          </text>
        ))}
        {set && <rect className="brush" x={set.x0} y={set.y0} width={Math.max(set.x1 - set.x0, 1)} height={Math.max(set.y1 - set.y0, 1)} rx={3} />}
        {ring && ring.density > 0 && <circle className="ring" cx={across(ring.density)} cy={up(ring.maximum)} r={5} />}
      </svg>
    </div>
  );
}

type Across = ReturnType<typeof scaleLog<number, number>>;
type Up = ReturnType<typeof scaleLinear<number, number>>;

const round = (value: number) => Number(value.toPrecision(3));
const inside = (box: Box, [x, y]: [number, number]) => x >= box.x0 && x <= box.x1 && y >= box.y0 && y <= box.y1;

/** The box that the two ranges are, whichever of them there are. */
function boxOf({ ranges }: ListState, across: Across, up: Up): Box | undefined {
  const { density, maximum } = ranges;
  if (density === undefined && maximum === undefined) return undefined;
  const [left, right] = across.range() as [number, number];
  const [bottom, top] = up.range() as [number, number];
  const place = (value: number | undefined, scale: Across | Up, otherwise: number, low: number, high: number) =>
    value !== undefined && Number.isFinite(value) && (scale !== across || value > 0)
      ? Math.min(Math.max(scale(value), low), high)
      : otherwise;
  return {
    x0: place(density?.low, across, left, left, right),
    x1: place(density?.high, across, right, left, right),
    y0: place(maximum?.high, up, top, top, bottom),
    y1: place(maximum?.low, up, bottom, top, bottom),
  };
}

/** The feature under a click, of those in the list. */
function nearest({ columns, selection }: FeatureList, densities: Float32Array, across: Across, up: Up, [x, y]: [number, number]) {
  let [best, distance] = [undefined as number | undefined, 10];
  for (const row of selection.rows) {
    const density = densities[row] ?? 0;
    if (density <= 0) continue;
    const away = Math.hypot(across(density) - x, up(columns.maximum[row] ?? 0) - y);
    if (away < distance) [best, distance] = [row, away];
  }
  return best;
}

function decades([low, high]: number[]): number[] {
  const first = Math.ceil(Math.log10(low ?? 1));
  const last = Math.floor(Math.log10(high ?? 1));
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, i) => 10 ** (first + i));
}
