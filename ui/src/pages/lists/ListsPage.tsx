import { useRef, useState, type FormEvent } from "react";
import { Link, useNavigate, useParams } from "react-router";
import { Empty, Failed, Skeleton } from "../../components/States";
import { count } from "../../format";
import { usePage } from "../../page";
import { readFile, useAllLists, useChanges } from "./data";
import { NotesPart } from "./NotesPart";
import { OneList } from "./OneList";
import "../../components/lab/lab.css";
import "../search/search.css";
import "./lists.css";

/** Lists of features that somebody keeps: made, described, walked, and as files in and out. */
export function ListsPage() {
  const { id } = useParams();
  const lists = useAllLists();
  const { add } = useChanges();
  const navigate = useNavigate();
  const file = useRef<HTMLInputElement>(null);
  const [name, setName] = useState("");
  const [problem, setProblem] = useState<Error | null>(null);
  const list = lists.data?.find((each) => each.id === id);
  usePage({
    title: list?.name ?? "lists",
    crumbs: [{ label: "lists", to: "/lists" }, ...(list ? [{ label: list.name }] : [])],
  });

  const made = { onSuccess: (next: { id: string }) => void navigate(`/lists/${next.id}`) };
  function make(event: FormEvent) {
    event.preventDefault();
    if (name.trim() === "") return;
    add.mutate({ name: name.trim(), features: [] }, made);
    setName("");
  }
  async function read(from: File | undefined) {
    if (!from) return;
    try {
      add.mutate(readFile(await from.text()), made);
      setProblem(null);
    } catch (cause) {
      setProblem(cause as Error);
    }
    if (file.current) file.current.value = "";
  }
  return (
    <div className="wrap lists-page">
      <header className="page-head">
        <h1>Lists</h1>
        <form className="chips" onSubmit={make}>
          <input
            className="field"
            aria-label="Name of a new list"
            placeholder="new list"
            maxLength={200}
            value={name}
            onChange={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit" className="button" disabled={name.trim() === ""}>
            make
          </button>
        </form>
        <button type="button" className="button" onClick={() => file.current?.click()}>
          from a file
        </button>
        <input
          ref={file}
          type="file"
          accept="application/json,.json"
          className="heard"
          tabIndex={-1}
          aria-label="A list's file"
          onChange={(event) => void read(event.currentTarget.files?.[0])}
        />
      </header>
      {(problem ?? add.error) && <Failed what="Not made:" error={(problem ?? add.error) as Error} />}
      {lists.error && <Failed what="Lists:" error={lists.error} retry={() => void lists.refetch()} />}
      {lists.isPending && <Skeleton rows={6} />}
      {lists.data?.length === 0 && (
        <Empty>
          No list yet. Make one here, or press <kbd>l</kbd> on a feature's page.
        </Empty>
      )}
      {lists.data && lists.data.length > 0 && (
        <div className="lists-split">
          <nav aria-label="Lists">
            <ul className="results">
              {lists.data.map((each) => (
                <li key={each.id}>
                  <Link to={`/lists/${each.id}`} aria-current={each.id === id ? "true" : undefined}>
                    {each.name}
                  </Link>
                  <span className="soft">{count(each.features.length)}</span>
                </li>
              ))}
            </ul>
          </nav>
          {list && <OneList key={`${list.id} ${list.version}`} list={list} />}
          {!list && id && <Empty>There is no list {id}: it may have been removed.</Empty>}
        </div>
      )}
      {!id && <NotesPart />}
    </div>
  );
}
