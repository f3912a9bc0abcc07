import { useState, type FormEvent } from "react";
import type { SAESummary } from "../../api/client";
import type { Edited } from "./grid";

interface AddFeatureProps {
  /** SAEs of one model: a request steers one. */
  saes: readonly SAESummary[];
  first: string | undefined;
  onAdd: (edited: Edited) => void;
}

/** One more feature to edit, by its SAE and number. */
export function AddFeature({ saes, first, onAdd }: AddFeatureProps) {
  const [sae, setSAE] = useState(first ?? "");
  const [number, setNumber] = useState("");
  const of = saes.find(({ name }) => name === sae) ?? saes.find(({ name }) => name === first) ?? saes[0];
  function add(event: FormEvent) {
    event.preventDefault();
    if (!of || !/^\d+$/.test(number)) return;
    onAdd({ sae: of.name, feature: Number(number), method: "add", value: null });
    setNumber("");
  }
  return (
    <form className="add-feature" onSubmit={add}>
      <select
        className="field"
        aria-label="SAE of the feature"
        value={of?.name ?? ""}
        onChange={(event) => setSAE(event.currentTarget.value)}
      >
        {saes.map(({ name }) => (
          <option key={name}>{name}</option>
        ))}
      </select>
      <input
        className="field"
        aria-label="Number of the feature"
        inputMode="numeric"
        placeholder="number"
        value={number}
        onChange={(event) => setNumber(event.currentTarget.value.replaceAll(/\D/g, ""))}
      />
      <button
        type="submit"
        className="button"
        disabled={number === "" || !of || Number(number) >= of.features}
        data-says={of && Number(number) >= of.features ? `${of.name} has features 0 to ${of.features - 1}` : undefined}
      >
        + feature
      </button>
    </form>
  );
}
