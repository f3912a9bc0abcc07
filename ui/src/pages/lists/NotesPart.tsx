import { useQuery } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { Link } from "react-router";
import { backend, getSAEs } from "../../api/client";
import { useAddNotes, useNotes } from "../../api/queries";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { Empty, Failed } from "../../components/States";
import { announce } from "../../page";
import { featurePath, saePath } from "../../paths";

/** The notes on an SAE's features, as a file out and in. */
export function NotesPart() {
  const saes = useQuery({ queryKey: ["saes"], queryFn: ({ signal }) => getSAEs(signal) }).data ?? [];
  const [chosen, setChosen] = useState("");
  const name = chosen || (saes[0]?.name ?? "");
  if (name === "") return null;
  return (
    <section className="notes-part" aria-labelledby="notes-title">
      <header className="page-head">
        <h2 id="notes-title">Notes</h2>
        <select className="field" aria-label="SAE whose notes are shown" value={name} onChange={(event) => setChosen(event.currentTarget.value)}>
          {saes.map((each) => (
            <option key={each.name}>{each.name}</option>
          ))}
        </select>
        <Files key={name} name={name} />
      </header>
      <Notes name={name} />
    </section>
  );
}

function Files({ name }: { name: string }) {
  const add = useAddNotes(name);
  const file = useRef<HTMLInputElement>(null);
  const [problem, setProblem] = useState<Error | null>(null);
  async function read(from: File | undefined) {
    if (!from) return;
    try {
      add.mutate(JSON.parse(await from.text()), { onSuccess: () => announce("Notes taken in") });
      setProblem(null);
    } catch {
      setProblem(new Error("the file is no JSON"));
    }
    if (file.current) file.current.value = "";
  }
  return (
    <>
      <a className="button" href={`${backend}/api/saes/${name}/notes`} download={`${name.replace(":", "-")}-notes.json`}>
        as a file
      </a>
      <button type="button" className="button" onClick={() => file.current?.click()}>
        from a file
      </button>
      <input
        ref={file}
        type="file"
        accept="application/json,.json"
        className="heard"
        tabIndex={-1}
        aria-label="A file of notes"
        onChange={(event) => void read(event.currentTarget.files?.[0])}
      />
      {(problem ?? add.error) && <Failed what="Not taken in:" error={(problem ?? add.error) as Error} />}
    </>
  );
}

function Notes({ name }: { name: string }) {
  const notes = useNotes(name);
  if (notes.error) return <Failed what="Notes:" error={notes.error} retry={() => void notes.refetch()} />;
  if (notes.data?.size === 0) {
    return (
      <Empty>
        No note on a feature of {name} yet: press <kbd>m</kbd> on a feature's page.
      </Empty>
    );
  }
  return (
    <>
      <ul className="results">
        {[...(notes.data ?? [])].map(([feature, text]) => (
          <li key={feature}>
            <Link to={`${featurePath(name, feature)}?noted`}>{feature}</Link>
            <FeatureLabel sae={name} index={feature} />
            <span className="note-words">{text}</span>
          </li>
        ))}
      </ul>
      <Link to={`${saePath(name)}?noted`}>browse them</Link>
    </>
  );
}
