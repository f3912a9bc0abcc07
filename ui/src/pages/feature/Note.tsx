import { useId, useState, type RefObject } from "react";
import { useHistory, useSay } from "../../api/queries";
import { Menu } from "../../components/Menu";
import { Failed } from "../../components/States";
import { day } from "../../format";

/** A line to write what one thinks the feature is; what was said before stays to be read. */
export function Note({ name, index, input }: { name: string; index: number; input: RefObject<HTMLInputElement | null> }) {
  const history = useHistory(name, index);
  const say = useSay(name, index);
  const id = useId();
  const [text, setText] = useState<string>();
  const current = history.data?.current ?? "";
  const versions = history.data?.versions ?? [];
  function keep() {
    if (text === undefined || text.trim() === current) {
      setText(undefined);
      return;
    }
    say.mutate(text.trim(), { onSuccess: () => setText(undefined) });
  }
  return (
    <div className="note-line">
      <label className="heard" htmlFor={id}>
        What you think the feature is
      </label>
      <input
        id={id}
        ref={input}
        value={text ?? current}
        maxLength={2000}
        placeholder="Write what you think it is"
        onChange={(event) => setText(event.currentTarget.value)}
        onBlur={keep}
        onKeyDown={(event) => {
          if (event.key === "Enter") event.currentTarget.blur();
          if (event.key === "Escape") {
            setText(undefined);
            event.currentTarget.blur();
          }
        }}
      />
      <kbd aria-hidden="true">n</kbd>
      {versions.length > 0 && (
        <Menu label={`${versions.length} said`} name={`${versions.length} said of it so far`} className="link">
          {() => (
            <ol className="said-list">
              {versions.toReversed().map((version) => (
                <li key={version.created}>
                  {version.text || <i>taken back</i>}{" "}
                  <small className="soft">
                    {version.by_model ? "model " : ""}
                    {version.author}, {day(version.created)}
                  </small>
                </li>
              ))}
            </ol>
          )}
        </Menu>
      )}
      {say.error && <Failed what="Not kept:" error={say.error} retry={keep} />}
    </div>
  );
}
