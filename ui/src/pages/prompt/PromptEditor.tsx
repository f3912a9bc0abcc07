import { useState, type FormEvent, type KeyboardEvent } from "react";

interface PromptEditorProps {
  text: string;
  label: string;
  onDone: (text: string) => void;
  onCancel?: (() => void) | undefined;
}

/** A text to write or paste. Ctrl or ⌘ and Enter look at it. */
export function PromptEditor({ text, label, onDone, onCancel }: PromptEditorProps) {
  const [draft, setDraft] = useState(text);
  const done = (event?: FormEvent) => {
    event?.preventDefault();
    if (draft !== "") onDone(draft);
  };
  function press(event: KeyboardEvent) {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) done();
    else if (event.key === "Escape") onCancel?.();
    else return;
    event.preventDefault();
  }
  return (
    <form className="prompt-editor" onSubmit={done}>
      <textarea
        className="field"
        aria-label={label}
        placeholder="A text of your own"
        value={draft}
        rows={Math.min(Math.max(draft.split("\n").length + 1, 3), 12)}
        maxLength={50_000}
        // The person has just asked to write here.
        // oxlint-disable-next-line jsx-a11y/no-autofocus
        autoFocus
        onChange={(event) => setDraft(event.currentTarget.value)}
        onKeyDown={press}
      />
      <div className="chips">
        <button type="submit" className="button" disabled={draft === ""}>
          Look at it <kbd>Ctrl ⏎</kbd>
        </button>
        {onCancel && (
          <button type="button" className="link" onClick={onCancel}>
            cancel
          </button>
        )}
      </div>
    </form>
  );
}
