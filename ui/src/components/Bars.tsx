interface BarsProps {
  counts: ArrayLike<number>;
  /** What the whole says to those who don't see it. */
  label: string;
  /** What a bar says on hover. */
  describe?: (bar: number) => string;
  /** Bars drawn in a color of their own, by number. */
  tone?: (bar: number) => "dead" | "dense" | undefined;
  /** Height by the logarithm of the count, so that rare bars stay visible. */
  logarithmic?: boolean;
  className?: string;
}

/** A histogram of `div`s, as high as the class says. */
export function Bars({ counts, describe, label, tone, logarithmic, className = "" }: BarsProps) {
  const height = (value: number) => (logarithmic ? Math.log1p(value) : value);
  const bars = Array.from(counts);
  const highest = Math.max(...bars.map(height), Number.MIN_VALUE);
  return (
    <div className={`bars ${className}`} role="img" aria-label={label}>
      {bars.map((value, bar) => (
        // The bars are positions: they have no identity beyond their number.
        // oxlint-disable-next-line react/no-array-index-key
        <span key={bar} data-says={describe?.(bar)} className={tone?.(bar)}>
          <i style={{ height: `${(100 * height(value)) / highest}%` }} />
        </span>
      ))}
    </div>
  );
}
