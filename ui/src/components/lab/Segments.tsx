interface SegmentsProps<T extends string> {
  label: string;
  options: readonly { value: T; title: string; says?: string }[];
  value: T;
  onChange: (value: T) => void;
}

/** A choice of a few, all of them seen. */
export function Segments<T extends string>({ label, options, value, onChange }: SegmentsProps<T>) {
  return (
    <div className="segments" role="group" aria-label={label}>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          data-says={option.says}
          onClick={() => onChange(option.value)}
        >
          {option.title}
        </button>
      ))}
    </div>
  );
}
