import type { SAE } from "../api/client";
import { count, percent, powerOfTen } from "../format";
import { Bars } from "./Bars";

/** Features by how often they fire, on a logarithmic scale; dead and dense ends in their colors. */
export function DensityChart({ sae }: { sae: SAE | undefined }) {
  if (!sae) return <div className="density" />;
  const { density, density_classes: classes } = sae;
  const edges = density.log10_edges;
  const edge = (i: number) => edges[i] ?? 0;
  // The first bar stands apart: features that never fired have no logarithm.
  const counts = [classes.dead, ...density.counts];
  const denseFrom = Math.log10(density.dense_from);
  const place = (exponent: number) => (exponent - edge(0)) / (edge(edges.length - 1) - edge(0));
  // At the left edge there is room for the word "dead" alone.
  const decades = [...new Set(edges.map(Math.round))].filter((decade) => place(decade) > 0.06);
  return (
    <figure className="density">
      <Bars
        counts={counts}
        className="with-dead"
        label={
          `Features by density: ${count(classes.dead)} dead, ${count(classes.regular)} regular, ` +
          `${count(classes.dense)} dense`
        }
        describe={(bar) =>
          bar === 0
            ? `dead: ${count(classes.dead)}`
            : `${percent(10 ** edge(bar - 1))} to ${percent(10 ** edge(bar))} of tokens: ` +
              `${count(counts[bar] ?? 0)} features`
        }
        tone={(bar) => {
          if (bar === 0) return "dead";
          return edge(bar - 1) >= denseFrom - 1e-6 ? "dense" : undefined;
        }}
      />
      <div className="axis" aria-hidden="true">
        <span className="dead">dead</span>
        <div>
          {decades.map((decade) => (
            <span key={decade} style={{ left: `${100 * place(decade)}%` }}>
              {decade === 0 ? "1" : powerOfTen(decade)}
            </span>
          ))}
        </div>
      </div>
      <figcaption>
        <span className="dead">{count(classes.dead)} dead</span>
        <span>{count(classes.regular)} regular</span>
        <span className="dense">
          {count(classes.dense)} dense, on more than {percent(density.dense_from)} of tokens
        </span>
      </figcaption>
    </figure>
  );
}
