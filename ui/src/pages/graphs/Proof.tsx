import type { Agreement, GraphFacts } from "../../api/graphs";
import { Explain } from "../../components/Explain";
import { Wide } from "../../components/lab/Wide";
import { count, figure, percent, share } from "../../format";
import { hides, predictions, verdict, type ProofRow } from "./proof";

interface ProofProps {
  facts: GraphFacts;
  isOpen: boolean;
  onOpen: (open: boolean) => void;
}

/** Scores and proof beside each other: what everybody shows, and how the real model answered. */
export function Proof({ facts, isOpen, onOpen }: ProofProps) {
  const { proof } = facts;
  const found = proof.verification;
  return (
    <section className="proof" aria-label="How far to believe it">
      <ul className="facts">
        <Fact value={figure(proof.completeness_error)} name="completeness error" says="The largest difference between what the model has at a node and the sum of the node's edges and constant, of the nodes' root mean square. The edges are exact for the model with attention patterns and norms held." />
        <Fact value={share(proof.replacement_score)} name="replacement score" says="Of the influence that reaches the outputs, the share that comes from tokens and not from errors. It does not say how well the graph predicts the real model." />
        <Fact value={share(proof.completeness_score)} name="completeness score" says="The share of edges that don't come from errors, weighted by influence. It does not say how well the graph predicts the real model." />
        {found ? (
          <>
            <Fact value={`r ${share(found.direct.r_per_source)}`} name={`per feature, ${count(found.ablations)} ablations in the real model`} says="Correlation of predicted with real changes over what an ablated feature reaches; the median over the features." />
            <Fact value={`r ${share(found.direct.r_pooled)}`} name="pooled over all pairs" says="The same over all pairs of an ablated feature and what it reaches; strong ablations count for more." />
          </>
        ) : (
          <li className="partial">not checked against the real model</li>
        )}
      </ul>
      <p className="verdict">
        {verdict(found)}{" "}
        <button type="button" className="link" aria-expanded={isOpen} onClick={() => onOpen(!isOpen)}>
          {isOpen ? "less" : "how far to believe it"}
        </button>
      </p>
      {isOpen && (
        <div className="proof-more">
          {found && (
            <>
              <Table caption="Predicted beside real" rows={predictions(found)} />
              <Table caption="What holding things still hides, direct edges" rows={hides(found)} />
              <p className="note">
                With everything held, ablations and edges differ by {figure(found.frozen_error)} of the edges' size: the
                graph is exact for the frozen model. Slope: of real on predicted change; 1 where predictions have
                the right size. Missed: Σ (real − predicted)² / Σ real²; above 100 % a prediction is worse than none.
              </p>
            </>
          )}
          <p className="note">
            {count(proof.features_followed)} of {count(proof.features_active)} active features were followed
            {proof.edges_left !== null && proof.edges_left > 0 && `; ${percent(proof.edges_left)} of the edges come from others`}. Shown
            are the nodes that hold {percent(facts.node_threshold)} of the influence on the outputs, and the edges that
            hold {percent(facts.edge_threshold)} of it. A graph does not say why heads attend where they do: patterns are
            given. Where several features fight for a place among the k largest, who wins is given too.
          </p>
        </div>
      )}
    </section>
  );
}

function Fact({ value, name, says }: { value: string; name: string; says: string }) {
  return (
    <li>
      <Explain says={says}>
        <b>{value}</b>
        {name}
      </Explain>
    </li>
  );
}

const COLUMNS: [string, string, (found: Agreement) => string][] = [
  ["r per feature", "median over the ablated features", ({ r_per_source: r }) => share(r)],
  ["r pooled", "over all pairs", ({ r_pooled: r }) => share(r)],
  ["slope", "of real on predicted change", ({ slope }) => figure(slope)],
  ["missed", "share of the squared change", ({ missed }) => percent(missed)],
];

function Table({ caption, rows }: { caption: string; rows: readonly ProofRow[] }) {
  return (
    <Wide label={caption}>
      <table className="table">
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col" className="text">
              <span className="heard">what</span>
            </th>
            {COLUMNS.map(([title, says]) => (
              <th key={title} scope="col" data-says={says}>
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, says, agreement }) => (
            <tr key={name}>
              <th scope="row" className="text" data-says={says}>
                {name}
              </th>
              {COLUMNS.map(([title, , write]) => (
                <td key={title}>{write(agreement)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Wide>
  );
}
