import { Link } from "react-router";
import type { Feature } from "../../api/client";
import { backend } from "../../api/client";
import { Copy } from "../../components/Copy";
import { Menu } from "../../components/Menu";
import { featurePath, steerText } from "../../paths";
import { AddToList } from "./AddToList";

const EXPORTS = [
  ["json", "JSON, all that is known"],
  ["html", "a page that stands by itself"],
  ["python", "a Python snippet"],
] as const;

/** What can be done with a feature: kept, copied, taken away, embedded, steered. */
export function Actions({ name, feature, label }: { name: string; feature: Feature; label: string }) {
  const { index } = feature;
  const page = `${location.origin}${featurePath(name, index)}`;
  const embed = `<iframe src="${location.origin}/embed${featurePath(name, index)}" width="640" height="420"></iframe>`;
  return (
    <div className="actions">
      <AddToList name={name} index={index} />
      <Menu label="copy ▾">
        {() => (
          <div className="items">
            <Copy what="link" text={page} className="" />
            <Copy what="label" text={label} className="" />
            <Copy what="JSON" text={JSON.stringify(feature)} className="" />
            <Copy what="iframe" text={embed} className="" />
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
      <Link className="button" to={steerText("", name, index)}>
        steer
      </Link>
    </div>
  );
}
