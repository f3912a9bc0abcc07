import { useState } from "react";
import type { About } from "../../api/client";
import { useIntervention, type Change, type GraphEdit, type Intervention } from "../../api/graphs";
import { Wide } from "../../components/lab/Wide";
import { ModelNote } from "../../components/lab/ModelNote";
import { Failed, Skeleton } from "../../components/States";
import { percent, share } from "../../format";
import { signed } from "./figures";
import type { Graph } from "./graph";
import { nodeName, nodePlace, tokenName } from "./names";
import { closeness } from "./proof";

interface InterveneProps {
  name: string;
  graphId: string;
  graph: Graph;
  /** The node or group that is changed. */
  edit: { node: string } | { group: string };
  about: About | undefined;
}

const FACTORS = [
  [0, "ablate"],
  [0.5, "× 0.5"],
  [2, "× 2"],
] as const;

/** Takes a node or group out of the real model, or scales it: the predicted change beside the real one. */
export function Intervene({ name, graphId, graph, edit, about }: InterveneProps) {
  const [factor, setFactor] = useState("");
  const intervention = useIntervention(name, graphId);
  const run = (by: number) => intervention.mutate([{ ...edit, factor: by } as GraphEdit]);
  const own = Number(factor.replace(",", "."));
  const isFactor = factor.trim() !== "" && own >= -10 && own <= 10;
  return (
    <section className="intervene">
      <h2>
        In the real model <small>predicted beside real</small>
      </h2>
      {about && !about.asks_model ? (
        <ModelNote about={about} what="An intervention" />
      ) : (
        <form
          className="chips"
          onSubmit={(event) => {
            event.preventDefault();
            if (isFactor) run(own);
          }}
        >
          {FACTORS.map(([by, title]) => (
            <button key={by} type="button" className="button" disabled={intervention.isPending} onClick={() => run(by)}>
              {title}
            </button>
          ))}
          <label>
            ×{" "}
            <input className="field factor" inputMode="decimal" aria-label="Factor, −10 to 10" placeholder="−1" value={factor} onChange={(event) => setFactor(event.currentTarget.value)} />
          </label>
          <button type="submit" className="button" disabled={!isFactor || intervention.isPending}>
            scale
          </button>
        </form>
      )}
      {intervention.isPending && <Skeleton rows={4} label="The model runs" />}
      {intervention.error && <Failed what="Not done:" error={intervention.error} />}
      {intervention.data && !intervention.isPending && <Found found={intervention.data} graph={graph} />}
    </section>
  );
}

function Found({ found, graph }: { found: Intervention; graph: Graph }) {
  const { total, on_targets: targets } = found.agreement;
  const word = closeness(total.r_pooled);
  return (
    <div role="status">
      <p className="small">
        {word === null ? "Too little changed to be compared." : <>What it reaches changed {word} as predicted (r {share(total.r_pooled)}; outputs alone {share(targets.r_pooled)}).</>}
      </p>
      <Changes caption="Outputs" changes={found.targets} graph={graph} />
      {found.features.length > 0 && <Changes caption="Features it reaches, the most changed" changes={found.features} graph={graph} />}
      <h3>Next token, before and after</h3>
      <ul className="next-tokens">
        {found.next_tokens.slice(0, 6).map(({ id, token, before, after }) => (
          <li key={id}>
            <code>{tokenName(token)}</code> {percent(before)} → <b>{percent(after)}</b>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Changes({ caption, changes, graph }: { caption: string; changes: readonly Change[]; graph: Graph }) {
  return (
    <Wide label={caption}>
      <table className="table changes">
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col" className="text">
              <span className="heard">node</span>
            </th>
            <th scope="col" data-says="minus its edges: the direct change alone">
              direct
            </th>
            <th scope="col" data-says="with what features between pass on">
              predicted
            </th>
            <th scope="col">real</th>
          </tr>
        </thead>
        <tbody>
          {changes.map((change) => {
            const node = graph.nodes.find(({ id }) => id === change.node);
            return (
              <tr key={change.node}>
                <th scope="row" className="text">
                  {node ? (
                    <>
                      <span className="soft">{nodePlace(node)}</span> <code>{nodeName(node)}</code>
                    </>
                  ) : (
                    change.node
                  )}
                </th>
                <td className="soft">{signed(change.direct)}</td>
                <td>{signed(change.total)}</td>
                <td>
                  <b>{signed(change.real)}</b>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Wide>
  );
}
