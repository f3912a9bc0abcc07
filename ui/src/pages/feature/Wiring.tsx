import { useState } from "react";
import type { Feature } from "../../api/client";
import { figure } from "../../format";

type Found = NonNullable<Feature["wiring"]>;
type Side = NonNullable<Found["writers"]>;
type Part = Side["heads"][number] | Side["neurons"][number];

/** The heads and neurons that write into a feature, and those that read it. */
export function Wiring({ feature: { wiring, hooks } }: { feature: Feature }) {
  if (!wiring) {
    return (
      <section>
        <h2>Wiring</h2>
        <p className="note">Not looked at in this analysis, which an earlier version made: analyze the SAE again to find it.</p>
      </section>
    );
  }
  const { writers, readers, missing } = wiring;
  if (!writers && !readers) {
    return (
      <section>
        <h2>Wiring</h2>
        <p className="note">Unknown: {missing}.</p>
      </section>
    );
  }
  const several = (hooks ?? []).length > 1;
  return (
    <>
      <SideOf title="Written by" side={writers} missing={missing} none="No head or neuron comes before it." several={several && "summed over the hooks behind each"} />
      <SideOf title="Read by" side={readers} missing={missing} none="No head or neuron comes after it." several={several && "from the last hook before each"} />
    </>
  );
}

interface SideProps {
  title: string;
  side: Side | null;
  missing: string | null;
  none: string;
  several: string | false;
}

const FEW = 3;

function SideOf({ title, side, missing, none, several }: SideProps) {
  const [all, setAll] = useState(false);
  const kinds = side ? [side.heads, side.neurons].filter((parts) => parts.length > 0) : [];
  const count = kinds.reduce((sum, parts) => sum + parts.length, 0);
  const hidden = count - kinds.reduce((sum, parts) => sum + Math.min(parts.length, FEW), 0);
  return (
    <section className="wiring">
      <h2>
        {title} <small>weight · over the usual</small>
      </h2>
      {kinds.map((parts) => (
        <Parts key={kindOf(parts[0])} parts={all ? parts : parts.slice(0, FEW)} />
      ))}
      {count === 0 && <p className="note">{side ? none : `Unknown: ${missing}.`}</p>}
      {count > 0 && several && <p className="note">A crosscoder&apos;s: {several}.</p>}
      {hidden > 0 && (
        <button type="button" className="link" aria-expanded={all} onClick={() => setAll(!all)}>
          {all ? "fewer" : `${hidden} more`}
        </button>
      )}
    </section>
  );
}

/** Of one kind, as ratios of heads and of neurons are not to be compared with each other. */
function Parts({ parts }: { parts: readonly Part[] }) {
  const longest = Math.max(...parts.map((part) => part.ratio), Number.MIN_VALUE);
  return (
    <ol aria-label={kindOf(parts[0])}>
      {parts.map((part) => (
        <li key={`${partName(part)} ${part.by}`} className="barred" data-says={meaning(part)}>
          <code>{partName(part)}</code>
          <i style={{ width: `${(100 * part.ratio) / longest}%` }} />
          <span>{figure(part.weight)}</span>
          <span>× {figure(part.ratio)}</span>
        </li>
      ))}
    </ol>
  );
}

const kindOf = (part: Part | undefined) => (part && "head" in part ? "Attention heads" : "MLP neurons");

/** L3H4 key, L3H4–7 key where heads share it, L3N1024 in; what it writes needs no word. */
export function partName(part: Part): string {
  const side = part.by === "output" ? "" : ` ${part.by}`;
  if ("neuron" in part) return `L${part.layer}N${part.neuron}${side}`;
  const last = part.heads > 1 ? `–${part.head + part.heads - 1}` : "";
  return `L${part.layer}H${part.head}${last}${side}`;
}

function meaning(part: Part): string {
  const usual = `${figure(part.ratio)} times its root mean square over all features of the SAE`;
  if ("head" in part) {
    const does = part.by === "output" ? "writes into it" : `reads it with its ${part.by}`;
    return `attention head ${part.head} of layer ${part.layer} ${does}: length ${figure(part.weight)}, ${usual}`;
  }
  const does = part.by === "output" ? "writes into it" : `reads it (${part.by})`;
  const sign = part.weight < 0 ? ", against it" : "";
  return `MLP neuron ${part.neuron} of layer ${part.layer} ${does}${sign}: product ${figure(part.weight)}, ${usual}`;
}
