import { Link, useNavigate } from "react-router";
import { FeatureLabel } from "../../components/lab/FeatureLabel";
import { Empty, Failed } from "../../components/States";
import { announce } from "../../page";
import { featurePath, promptPath } from "../../paths";
import { contentsOf, useChanges, type FeatureList } from "./data";

/** A list: its name, what it is about, its features with a note each. What is written is kept when left. */
export function OneList({ list }: { list: FeatureList }) {
  const { change, remove } = useChanges();
  const navigate = useNavigate();
  const { features } = list;
  const save = (changes: Partial<FeatureList>) =>
    change.mutate({ ...list, ...changes }, { onSuccess: () => announce("Kept") });
  function saveText(key: "name" | "description" | "text", value: string) {
    const text = value.trim();
    if (text !== list[key] && (key !== "name" || text !== "")) save({ [key]: text });
  }
  function download() {
    const contents = JSON.stringify(contentsOf(list), null, 2);
    const address = URL.createObjectURL(new Blob([contents], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = address;
    link.download = `${list.name.replaceAll(/[^\w-]+/g, "-")}.json`;
    link.click();
    URL.revokeObjectURL(address);
  }
  const first = features[0];
  return (
    <section aria-label={list.name}>
      <div className="list-facts">
        <input
          className="field list-name"
          aria-label="Name"
          defaultValue={list.name}
          maxLength={200}
          onBlur={(event) => saveText("name", event.currentTarget.value)}
        />
        <textarea
          className="field"
          aria-label="What it is about"
          placeholder="what it is about"
          rows={2}
          defaultValue={list.description}
          maxLength={2000}
          onBlur={(event) => saveText("description", event.currentTarget.value)}
        />
        <textarea
          className="field"
          aria-label="A text to try its features on"
          placeholder="a text to try its features on"
          rows={1}
          defaultValue={list.text}
          maxLength={10_000}
          onBlur={(event) => saveText("text", event.currentTarget.value)}
        />
      </div>
      <div className="chips">
        {first && (
          <Link className="button" to={`${featurePath(first.sae, first.feature)}?list=${list.id}`}>
            walk it with j and k
          </Link>
        )}
        {first && list.text !== "" && (
          <Link className="button" to={promptPath(first.sae, list.text)}>
            its text through {first.sae}
          </Link>
        )}
        <button type="button" className="button" onClick={download}>
          as a file
        </button>
        <button
          type="button"
          className="button"
          onClick={() => remove.mutate(list.id, { onSuccess: () => void navigate("/lists") })}
        >
          remove the list
        </button>
      </div>
      {(change.error ?? remove.error) && (
        <Failed what="Not kept:" error={(change.error ?? remove.error) as Error} />
      )}
      {features.length === 0 ? (
        <Empty>
          Nothing is in it yet: press <kbd>l</kbd> on a feature's page.
        </Empty>
      ) : (
        <ol className="results">
          {features.map((entry, place) => (
            <li key={`${entry.sae} ${entry.feature}`}>
              <Link to={`${featurePath(entry.sae, entry.feature)}?list=${list.id}`}>
                {entry.feature}
              </Link>
              <span className="soft">{entry.sae}</span>
              <FeatureLabel sae={entry.sae} index={entry.feature} />
              <input
                className="field"
                aria-label={`Note on ${entry.sae} ${entry.feature}`}
                placeholder="note"
                defaultValue={entry.note ?? ""}
                maxLength={2000}
                onBlur={(event) => {
                  const note = event.currentTarget.value.trim();
                  if (note === (entry.note ?? "")) return;
                  save({ features: features.with(place, { ...entry, note }) });
                }}
              />
              <button
                type="button"
                className="icon"
                aria-label={`Without ${entry.sae} ${entry.feature}`}
                onClick={() => save({ features: features.filter((each) => each !== entry) })}
              >
                ×
              </button>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}
