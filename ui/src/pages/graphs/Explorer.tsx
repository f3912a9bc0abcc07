import { useEffect } from "react";
import type { EdgeColumns, GraphFacts, GraphNode } from "../../api/graphs";
import { useAbout } from "../../api/queries";
import { Empty } from "../../components/States";
import { count } from "../../format";
import { GraphGrid } from "./GraphGrid";
import { namesOf } from "./names";
import { NodePanel } from "./NodePanel";
import { Preview } from "./Preview";
import { Thresholds } from "./Thresholds";
import { useExplorer } from "./useExplorer";
import { groupKey } from "./view";

/** The graph's nodes with lines, and beside them the one that is selected. */
export function Explorer({ facts, nodes, edges }: { facts: GraphFacts; nodes: GraphNode[]; edges: EdgeColumns }) {
  const explorer = useExplorer(facts, nodes, edges);
  const { state, change, graph, view, kept, pins, selected, own, area, select, selectKey } = explorer;
  const about = useAbout().data;
  const { node } = state;
  // A node that is chosen from a list comes into sight.
  useEffect(() => {
    if (node === null) return;
    area.current?.querySelector(`[data-node="${CSS.escape(node)}"]`)?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [area, node]);
  const partial = edges.total > edges.source.length;
  const features = nodes.filter(({ kind }) => kind === "feature").length;
  return (
    <>
      <Thresholds state={state} kept={kept} hidden={view.hidden} onChange={change} />
      {pins.size > 0 && (
        <div className="chips pins" role="group" aria-label="Pinned">
          <span className="soft">pinned</span>
          {view.nodes.map((each, number) =>
            pins.has(each.key) ? (
              <button key={each.key} type="button" className="chip on" aria-current={number === selected ? "true" : undefined} onClick={() => select(number)}>
                {namesOf(graph, each).place} {namesOf(graph, each).name}
              </button>
            ) : null,
          )}
        </div>
      )}
      {facts.groups.length > 0 && (
        <div className="chips pins" role="group" aria-label="Groups">
          <span className="soft">groups</span>
          {facts.groups.map(({ name, nodes: members }) => (
            <button key={name} type="button" className="chip" aria-pressed={own?.group?.name === name} onClick={() => selectKey(groupKey(name))}>
              {name} <small>{members.length}</small>
            </button>
          ))}
        </div>
      )}
      <div className="graph-split">
        <section ref={area} aria-label="Nodes" className="graph-area">
          {view.nodes.length === 0 ? (
            <Empty>Everything is hidden.</Empty>
          ) : (
            <GraphGrid graph={graph} view={view} selected={selected} pinned={pins} onSelect={select} onOpen={explorer.open} />
          )}
          <p className="note">
            Color: activation over the feature's maximum; of a token its influence, of an output its probability. Dashed: what
            the transcoder of that layer misses. Lines: the eight strongest edges of the selected node each way, and all
            among pinned nodes. {partial && `Of ${count(edges.total)} edges the strongest ${count(edges.source.length)} are here. `}
            {count(features)} of {count(facts.proof.features_active)} active features were kept.
          </p>
        </section>
        <aside aria-label="Selected node">
          {selected !== null && (
            <NodePanel
              facts={facts}
              graph={graph}
              view={view}
              selected={selected}
              about={about}
              pinned={state.pinned}
              edge={state.edge}
              groupOpener={explorer.groupOpener}
              groupError={explorer.groupError}
              onSelect={select}
              onSplit={(edge) => change({ edge })}
              onPin={explorer.pin}
              onHide={explorer.hide}
              onGroup={explorer.group}
              onGroups={explorer.saveGroups}
            />
          )}
        </aside>
      </div>
      <Preview nodes={nodes} />
    </>
  );
}
