import { opacity } from "../../tokens";

interface StripProps {
  values: readonly number[];
  /** The feature's own maximum, to which all colors refer. */
  maximum: number;
  selected: number | null;
}

const HEIGHT = 15;

/** A feature's activation over a text, a cell for each token. The row beside it says the figures. */
export function Strip({ values, maximum, selected }: StripProps) {
  const gap = values.length > 60 ? 0 : 0.12;
  return (
    <svg
      className="strip"
      viewBox={`0 0 ${values.length} ${HEIGHT}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      {gap > 0 ? (
        values.map((_, i) => (
          <rect
            // oxlint-disable-next-line react/no-array-index-key -- a cell is its place
            key={i}
            className="cell"
            x={i + gap / 2}
            width={1 - gap}
            height={HEIGHT}
          />
        ))
      ) : (
        <rect className="cell" width={values.length} height={HEIGHT} />
      )}
      {values.map((value, i) =>
        value > 0 ? (
          <rect
            // oxlint-disable-next-line react/no-array-index-key -- a cell is its place
            key={i}
            className="fires"
            x={i + gap / 2}
            width={1 - gap}
            height={HEIGHT}
            opacity={0.15 + 0.85 * opacity(value, maximum)}
          />
        ) : null,
      )}
      {selected !== null && (
        <rect className="selected" x={selected} y={HEIGHT - 2} width={1} height={2} />
      )}
    </svg>
  );
}
