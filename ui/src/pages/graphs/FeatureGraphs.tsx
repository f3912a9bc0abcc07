import { Link } from "react-router";
import { useGraphsOfFeature } from "../../api/graphs";
import { graphPath } from "./addresses";
import { activation } from "../../format";
import { tokenName } from "./names";

/** The attribution graphs that a feature is a node of. */
export function FeatureGraphs({ sae, index }: { sae: string; index: number }) {
  const found = useGraphsOfFeature(sae, index);
  if (!found.data || found.data.length === 0) return null;
  return (
    <section>
      <h2>
        Graphs it is in <small>token · activation</small>
      </h2>
      <ol>
        {found.data.flatMap(({ name, prompt, nodes }) =>
          nodes.slice(0, 2).map(({ id, token, activation: value }) => (
            <li key={`${name} ${id}`} className="near in-graph">
              <Link to={graphPath(name, id)}>{prompt}</Link>
              <code>{tokenName(token)}</code>
              <span>{activation(value)}</span>
            </li>
          )),
        )}
      </ol>
    </section>
  );
}
