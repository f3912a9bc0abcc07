import { Link } from "react-router";
import { useGraphs, useRemoveGraph, type GraphSummary } from "../../api/graphs";
import { useAbout } from "../../api/queries";
import { Wide } from "../../components/lab/Wide";
import { Menu } from "../../components/Menu";
import { Empty, Failed, Skeleton } from "../../components/States";
import { ANALYZE_TRANSCODERS, CACHE_MLPS, DEMO_TRACE, TRACE, TRAIN_TRANSCODERS, withDatabase } from "../../commands";
import { count, day, share } from "../../format";
import { usePage } from "../../page";
import { graphPath } from "./addresses";
import { tokenName } from "./names";
import { NewTrace } from "./NewTrace";
import "../../components/lab/lab.css";
import "./graphs.css";

/** All attribution graphs of this database, and a prompt to make another one of. */
export function GraphsPage() {
  const graphs = useGraphs();
  const about = useAbout().data;
  const remove = useRemoveGraph();
  usePage({ title: "graphs", crumbs: [{ label: "graphs" }] });
  return (
    <div className="wrap graphs-page">
      <header className="page-head">
        <h1>Graphs</h1>
        <p className="soft">Which features made the model say this?</p>
      </header>
      <NewTrace />
      {graphs.error && <Failed what="The graphs can't be listed:" error={graphs.error} retry={() => void graphs.refetch()} />}
      {remove.error && <Failed what="Not removed:" error={remove.error} />}
      {graphs.isPending && <Skeleton rows={6} />}
      {graphs.data?.length === 0 && (
        <Empty>
          <p>
            No graph yet. An attribution graph has the features that fired on a prompt, and edges that say how much each
            added to later ones and to the next token. The whole chain on a bundled model and text:
          </p>
          <pre className="command">{DEMO_TRACE}</pre>
          <p>With a model of your own:</p>
          {[CACHE_MLPS, TRAIN_TRANSCODERS, ANALYZE_TRANSCODERS, TRACE].map((command) => (
            <pre key={command} className="command">
              {about && /analyze|trace /.test(command) ? withDatabase(command, about) : command}
            </pre>
          ))}
        </Empty>
      )}
      {graphs.data && graphs.data.length > 0 && <Table graphs={graphs.data} onRemove={(graph) => remove.mutate(graph)} />}
    </div>
  );
}

function Table({ graphs, onRemove }: { graphs: readonly GraphSummary[]; onRemove: (graph: GraphSummary) => void }) {
  return (
    <Wide label="Graphs">
      <table className="table graphs-table">
        <thead>
          <tr>
            <th scope="col" className="text">
              prompt
            </th>
            <th scope="col" className="text">
              explains
            </th>
            <th scope="col" data-says="median r between predicted and real changes of ablated features">
              r in the model
            </th>
            <th scope="col" className="wide" data-says="influence from tokens over that from tokens and errors">
              replacement
            </th>
            <th scope="col" className="wide" data-says="share of edges that don't come from errors">
              completeness
            </th>
            <th scope="col" className="wide">tokens</th>
            <th scope="col" className="wide">features</th>
            <th scope="col" className="wide">edges</th>
            <th scope="col" className="text wide">
              made
            </th>
            <th scope="col">
              <span className="heard">remove</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {graphs.map((graph) => (
            <tr key={graph.name}>
              <th scope="row" className="text prompt">
                <Link to={graphPath(graph.name)}>{graph.prompt}</Link>
              </th>
              <td className="text">
                <code>{graph.targets.slice(0, 3).map(tokenName).join(" ")}</code>
              </td>
              <td>{graph.r_per_source === null ? <span className="soft">not checked</span> : <b>{share(graph.r_per_source)}</b>}</td>
              <td className="wide">{share(graph.replacement_score)}</td>
              <td className="wide">{share(graph.completeness_score)}</td>
              <td className="wide">{count(graph.tokens)}</td>
              <td className="wide">{count(graph.features)}</td>
              <td className="wide">{count(graph.edges)}</td>
              <td className="text soft wide">{day(graph.created)}</td>
              <td>
                <Menu label="×" name={`Remove the graph ${graph.name}`} className="icon">
                  {() => (
                    <button type="button" className="button" onClick={() => onRemove(graph)}>
                      remove it for good
                    </button>
                  )}
                </Menu>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}
