import { useSplit } from "../../api/graphs";
import { Failed, Skeleton } from "../../components/States";
import { signed, splitRows } from "./figures";

/** Through which heads an edge runs: at each block between its ends, heads and the stream past them. */
export function SplitByHead({ name, graph, source, target }: { name: string; graph: string; source: string; target: string }) {
  const found = useSplit(name, graph, source, target);
  if (found.error) return <Failed what="Not split:" error={found.error} retry={() => void found.refetch()} />;
  if (!found.data) return <Skeleton rows={2} height={20} label="The model splits the edge" />;
  const rows = splitRows(found.data);
  return (
    <div className="split">
      {rows.length === 0 && <p>No attention lies between the two.</p>}
      {rows.map(({ layer, heads, rest, stream }) => (
        <p key={layer}>
          <span className="soft">attention {layer}</span>
          {heads.map(({ head, part }) => (
            <span key={head} data-says={`head ${head} of block ${layer}`}>
              head {head} <b>{signed(part)}</b>
            </span>
          ))}
          {rest !== 0 && (
            <span>
              other heads <b>{signed(rest)}</b>
            </span>
          )}
          <span data-says="along the residual stream, past this block's attention">
            past it <b>{signed(stream)}</b>
          </span>
        </p>
      ))}
    </div>
  );
}
