import { WHERE, type SteerState } from "./state";

interface SteerSettingsProps {
  state: SteerState;
  onChange: (changes: Partial<SteerState>) => void;
}

/** How much is written, how it is drawn, and where the edits act. */
export function SteerSettings({ state, onChange }: SteerSettingsProps) {
  return (
    <fieldset className="steer-settings">
      <legend className="heard">Settings</legend>
      <label>
        <input
          type="number"
          className="field"
          min={1}
          max={256}
          value={state.tokens}
          onChange={(event) => onChange({ tokens: whole(event.currentTarget.value, 1, 256) })}
        />{" "}
        tokens
      </label>
      <label data-says="0 takes the likeliest token each time">
        temperature{" "}
        <input
          type="number"
          className="field"
          min={0}
          max={100}
          step={0.1}
          value={state.temperature}
          onChange={(event) => onChange({ temperature: Math.min(Math.max(Number(event.currentTarget.value), 0), 100) })}
        />
      </label>
      {state.temperature > 0 && (
        <label data-says="all completions draw the same random numbers">
          seed{" "}
          <input
            type="number"
            className="field"
            min={0}
            value={state.seed}
            onChange={(event) => onChange({ seed: whole(event.currentTarget.value, 0, 999_999_999) })}
          />
        </label>
      )}
      <label data-says="special tokens, such as the one at the beginning, are left alone; what the SAE does not explain stays">
        edited at{" "}
        <select
          className="field"
          value={state.where}
          onChange={(event) => {
            const where = WHERE.find((each) => each === event.currentTarget.value);
            if (where) onChange({ where });
          }}
        >
          {WHERE.map((each) => (
            <option key={each} value={each}>
              {{ all: "all tokens", prompt: "the prompt", generated: "what is written" }[each]}
            </option>
          ))}
        </select>
      </label>
    </fieldset>
  );
}

const whole = (text: string, least: number, most: number) =>
  Math.min(Math.max(Math.round(Number(text)) || least, least), most);
