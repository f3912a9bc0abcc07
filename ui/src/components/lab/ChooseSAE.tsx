import { useId } from "react";

interface ChooseSAEProps {
  label: string;
  names: readonly string[];
  onChoose: (name: string) => void;
}

/** A list of SAEs to add one from, that looks like the chips beside it. */
export function ChooseSAE({ label, names, onChoose }: ChooseSAEProps) {
  const id = useId();
  if (names.length === 0) return null;
  return (
    <span className="chip choose">
      <label htmlFor={id}>{label}</label>
      <select id={id} value="" onChange={(event) => onChoose(event.currentTarget.value)}>
        <option value="" disabled>
          {label}
        </option>
        {names.map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </span>
  );
}
