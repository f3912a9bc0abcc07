import { useParams } from "react-router";
import { exportPath, useGraph, useGraphEdges, useGraphNodes, type EdgeColumns, type GraphFacts, type GraphNode } from "../../api/graphs";
import { useHash } from "../../components/lab/hash";
import { Failed, Skeleton } from "../../components/States";
import { count, shortName } from "../../format";
import { usePage } from "../../page";
import { inText, isSpecial } from "../../tokens";
import { Explorer } from "./Explorer";
import { Proof } from "./Proof";
import { readGraphState, writeGraphState } from "./state";
import "../../components/lab/lab.css";
import "./graphs.css";

/** One attribution graph: which features made the model say what it says after a prompt. */
export function GraphPage() {
  const { name = "" } = useParams();
  const facts = useGraph(name);
  const nodes = useGraphNodes(name, facts.data?.graph);
  const edges = useGraphEdges(name, facts.data?.graph);
  usePage({
    title: facts.data ? `graph of ${facts.data.prompt.slice(0, 60)}` : "graph",
    crumbs: [{ label: "graphs", to: "/graphs" }, { label: name }],
    sae: facts.data?.transcoders.find(({ analyzed }) => analyzed)?.sae ?? undefined,
  });
  const error = facts.error ?? nodes.error ?? edges.error;
  const again = () => void Promise.all([facts.refetch(), nodes.refetch(), edges.refetch()]);
  return (
    <div className="wrap graph-page">
      {error && <Failed what="This graph can't be shown:" error={error} retry={again} />}
      {!error && !facts.data && <Skeleton rows={14} label="Loading the graph" />}
      {!error && facts.data && <Loaded key={facts.data.graph} facts={facts.data} nodes={nodes.data} edges={edges.data} />}
    </div>
  );
}

interface LoadedProps {
  facts: GraphFacts;
  nodes: GraphNode[] | undefined;
  edges: EdgeColumns | undefined;
}

function Loaded({ facts, nodes, edges }: LoadedProps) {
  const [state, change] = useHash(readGraphState, writeGraphState);
  return (
    <>
      <header className="page-head graph-head">
        <h1>Graph</h1>
        <p className="graph-prompt">
          {facts.tokens.map((token, i) =>
            // oxlint-disable-next-line react/no-array-index-key -- a token is its place
            isSpecial(token) ? null : <span key={i}>{token}</span>,
          )}
          {nodes && <BestTarget nodes={nodes} />}
        </p>
        <span className="soft head-note">{madeOf(facts)}</span>
        <a className="button" href={exportPath(facts.name)} download data-says="circuit-tracer's JSON: its viewer opens it, Neuronpedia takes it">
          export JSON
        </a>
      </header>
      <Proof facts={facts} isOpen={state.proof} onOpen={(proof) => change({ proof })} />
      {nodes && edges ? <Explorer facts={facts} nodes={nodes} edges={edges} /> : <Skeleton rows={12} label="Loading nodes and edges" />}
    </>
  );
}

/** The likeliest of what is explained, after the prompt. */
function BestTarget({ nodes }: { nodes: GraphNode[] }) {
  const [best] = nodes.filter(({ kind }) => kind === "logit").toSorted((a, b) => (b.probability ?? 0) - (a.probability ?? 0));
  if (!best) return null;
  const text = best.label ?? "";
  return (
    <>
      {text.startsWith(" ") && " "}
      <b className="t peak">{inText(text.trim() || text)}</b>
    </>
  );
}

function madeOf({ transcoders, model }: GraphFacts): string {
  const there = transcoders.filter(({ sae }) => sae !== null).length;
  const missing = transcoders.filter(({ sae }) => sae === null).map(({ layer }) => layer);
  const partial = missing.length > 0 ? `; layers without one are errors: ${missing.join(", ")}` : "";
  return `${shortName(model)} · ${count(there)} transcoders${partial}`;
}
