/** Headline numbers, value over label. */
export function Stats({ stats }: { stats: [string, string][] }) {
  return (
    <dl className="stats">
      {stats.map(([value, label]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
