import { useEffect, useRef, type PointerEvent } from "react";
import { useWidth } from "../../components/plots/width";
import { share } from "../../format";
import { side, type Match } from "./matching";

const HEIGHT = 280;
const MARGIN = { left: 38, right: 12, top: 22, bottom: 34 };

interface MatchPlotProps {
  matches: readonly Match[];
  threshold: number;
  onThreshold: (value: number) => void;
}

/**
 * Each feature and its best partner: cosine of the decoders across, correlation of the activations
 * up. The threshold is a line to drag; the field below it does the same by keys.
 */
export function MatchPlot({ matches, threshold, onThreshold }: MatchPlotProps) {
  const [frame, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const inner = width - MARGIN.left - MARGIN.right;
  const x = (value: number) => MARGIN.left + Math.min(Math.max(value, 0), 1) * inner;
  const y = (value: number) =>
    HEIGHT - MARGIN.bottom - Math.min(Math.max(value, 0), 1) * (HEIGHT - MARGIN.top - MARGIN.bottom);

  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context || !canvas.current) return;
    const scale = devicePixelRatio || 1;
    canvas.current.width = width * scale;
    canvas.current.height = HEIGHT * scale;
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, HEIGHT);
    const style = getComputedStyle(canvas.current);
    context.globalAlpha = matches.length > 5000 ? 0.4 : 0.75;
    for (const name of ["only", "weaker", "matched"] as const) {
      context.fillStyle = style.getPropertyValue(COLORS[name]);
      for (const match of matches) {
        if (match.correlation === null || side(match, threshold) !== name) continue;
        context.fillRect(x(match.cosine) - 1.25, y(match.correlation) - 1.25, 2.5, 2.5);
      }
    }
  });

  function drag(event: PointerEvent<SVGElement>) {
    if (event.buttons !== 1) return;
    event.currentTarget.setPointerCapture(event.pointerId);
    const box = event.currentTarget.getBoundingClientRect();
    const value = (event.clientX - box.left - MARGIN.left) / inner;
    onThreshold(Math.round(Math.min(Math.max(value, 0), 1) * 100) / 100);
  }

  const unknown = matches.filter(({ correlation }) => correlation === null).length;
  return (
    <div ref={frame} className="match-plot">
      <div className="layers" style={{ height: HEIGHT }}>
        <canvas ref={canvas} style={{ width, height: HEIGHT }} aria-hidden="true" />
        <svg
          width={width}
          height={HEIGHT}
          role="img"
          aria-label={`${matches.length} features by cosine and correlation with their best partner`}
          onPointerDown={drag}
          onPointerMove={drag}
        >
          {[0, 0.25, 0.5, 0.75, 1].map((level) => (
            <g key={level}>
              <line className="grid" x1={MARGIN.left} x2={width - MARGIN.right} y1={y(level)} y2={y(level)} />
              <text x={MARGIN.left - 6} y={y(level) + 4} textAnchor="end">
                {level === 0 ? "0" : share(level)}
              </text>
              <text x={x(level)} y={HEIGHT - MARGIN.bottom + 14} textAnchor="middle">
                {level === 0 ? "0" : share(level)}
              </text>
            </g>
          ))}
          <text x={MARGIN.left} y={12}>
            ↑ correlation of activations
          </text>
          <text x={width - MARGIN.right} y={HEIGHT - 6} textAnchor="end">
            cosine of decoders →
          </text>
          <line
            className="threshold"
            x1={x(threshold)}
            x2={x(threshold)}
            y1={MARGIN.top}
            y2={HEIGHT - MARGIN.bottom}
          />
        </svg>
      </div>
      <label className="soft threshold-field">
        threshold{" "}
        <input
          type="range"
          min={0}
          max={1}
          step={0.01}
          value={threshold}
          onChange={(event) => onThreshold(Number(event.currentTarget.value))}
        />{" "}
        {share(threshold)}
      </label>
      {unknown > 0 && <p className="note">{unknown} without a measured correlation are not drawn.</p>}
    </div>
  );
}

const COLORS = { matched: "--bar", weaker: "--c3", only: "--faint" } as const;
