import { Link } from "react-router";
import type { Feature } from "../../api/client";
import { backend } from "../../api/client";
import { Copy } from "../../components/Copy";
import { Menu } from "../../components/Menu";
import { featurePath, steerText } from "../../paths";
import { AddToList } from "./AddToList";
import { NoteText } from "./NoteText";

const EXPORTS = [
  ["json", "JSON, all that is known"],
  ["html", "a page that stands by itself"],
  ["python", "a Python snippet"],
  ["vector", "its decoder and encoder, JSON"],
  ["npy", "its decoder, NumPy"],
  ["safetensors", "its decoder and encoder"],
] as const;

interface ActionsProps {
  name: string;
  feature: Feature;
  /** The group of contexts that is shown, and the context that is open. */
  group: string;
  context: number | null;
  label: string;
}

/** What can be done with a feature: kept, noted, copied, taken away, embedded, steered. */
export function Actions({ name, feature, group, context, label }: ActionsProps) {
  const { index } = feature;
  const page = `${location.origin}${featurePath(name, index)}`;
  return (
    <div className="actions">
      <AddToList name={name} index={index} />
      <NoteText name={name} index={index} />
      <Menu label="copy ▾">
        {() => (
          <div className="items">
            <Copy what="link" text={page} className="" />
            <Copy what="label" text={label} className="" />
            <Copy what="JSON" text={JSON.stringify(feature)} className="" />
          </div>
        )}
      </Menu>
      <Menu label="export ▾">
        {() => (
          <div className="items">
            {EXPORTS.map(([format, about]) => (
              <a key={format} href={`${backend}/api/saes/${name}/features/${index}/export?format=${format}`} download>
                {format} <span className="soft">{about}</span>
              </a>
            ))}
          </div>
        )}
      </Menu>
      <Menu label="embed ▾">
        {() => (
          <div className="items">
            <Copy what="iframe of the feature" text={frame(name, index)} className="" />
            <Copy what={`iframe of the group ${group}`} text={frame(name, index, { group })} className="" />
            {context !== null && <Copy what="iframe of the open context" text={frame(name, index, { context: String(context) })} className="" />}
            <Copy what="iframe of a text of your own" text={frame(name, index, { text: "TEXT" })} className="" />
            <Copy what="line for a notebook" text={`lmsaes.show("${name}", ${index})`} className="" />
          </div>
        )}
      </Menu>
      <Link className="button" to={steerText("", name, index)}>
        steer
      </Link>
    </div>
  );
}

/** A feature inside another page, or a part of it. */
function frame(name: string, index: number, part: Record<string, string> = {}): string {
  const parameters = new URLSearchParams(part).toString();
  const address = `${location.origin}/embed${featurePath(name, index)}${parameters && `?${parameters}`}`;
  return `<iframe src="${address}" width="640" height="420"></iframe>`;
}
