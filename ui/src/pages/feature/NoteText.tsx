import { useRef, useState } from "react";
import { useKeepNote, useNotes } from "../../api/queries";
import { Menu } from "../../components/Menu";
import { Failed } from "../../components/States";
import { useKeys } from "../../keys";

/** What somebody wants to remember of a feature, beside what it is called. */
export function NoteText({ name, index }: { name: string; index: number }) {
  const notes = useNotes(name);
  const opener = useRef<HTMLButtonElement>(null);
  useKeys("Notes", [
    {
      keys: ["m"],
      does: "a note on it",
      run: () => {
        opener.current?.focus(); // where the focus goes back to
        opener.current?.click();
      },
    },
  ]);
  const there = notes.data?.get(index) ?? "";
  return (
    <Menu label={there === "" ? "note" : "note •"} name={there === "" ? "A note on it" : `A note on it: ${there}`} opener={opener}>
      {(close) =>
        notes.error ? (
          <Failed what="Notes:" error={notes.error} retry={() => void notes.refetch()} />
        ) : (
          notes.data && <Editor name={name} index={index} there={there} onKept={close} />
        )
      }
    </Menu>
  );
}

function Editor({ name, index, there, onKept }: { name: string; index: number; there: string; onKept: () => void }) {
  const keep = useKeepNote(name, index);
  const [text, setText] = useState(there);
  return (
    <form
      className="note-text"
      onSubmit={(event) => {
        event.preventDefault();
        keep.mutate({ text: text.trim(), seen: there }, { onSuccess: onKept });
      }}
    >
      <textarea
        className="field"
        rows={5}
        maxLength={10_000}
        aria-label="Note"
        placeholder="anything to remember of it; an empty note goes away"
        value={text}
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.currentTarget.form?.requestSubmit();
        }}
        // oxlint-disable-next-line jsx-a11y/no-autofocus -- one opened it to write here
        autoFocus
      />
      <button type="submit" className="button" disabled={keep.isPending || text.trim() === there}>
        keep
      </button>
      {keep.error && <Failed what="Not kept:" error={keep.error} />}
    </form>
  );
}
