/** How far a graph may be believed, in words. */
import type { Agreement, Verification } from "../../api/graphs";
import { figure, percent, share } from "../../format";

/** How closely predictions follow, by Pearson's r. */
export function closeness(r: number | null): string | null {
  if (r === null) return null;
  if (r >= 0.9) return "closely";
  if (r >= 0.7) return "mostly";
  if (r >= 0.4) return "roughly";
  return r >= 0.2 ? "weakly" : "hardly";
}

/** `slope`: of real on predicted change, through the origin. */
export function sizeSaid(slope: number | null): string | null {
  if (slope === null) return null;
  if (slope <= 0) return "in the other direction";
  if (slope >= 0.8 && slope <= 1.25) return "of the right size";
  return slope < 1 ? `${figure(1 / slope)} times too large` : `${figure(slope)} times too small`;
}

/** The one thing to know before reading a graph. */
export function verdict(found: Verification | null): string {
  if (found === null)
    return "Not checked against the real model: nothing here says how well the graph predicts it.";
  const { direct, on_targets: targets, ablations } = found;
  const word = closeness(direct.r_per_source ?? direct.r_pooled);
  if (word === null) return `${ablations} ablations in the real model changed nothing that could be compared.`;
  const missed = direct.missed === null ? "" : `; ${percent(direct.missed)} of the squared change was not predicted`;
  const size = sizeSaid(targets.slope);
  const outputs = targets.r_pooled === null ? "" : ` For the outputs alone r is ${share(targets.r_pooled)}, and predicted changes are ${size}.`;
  return `The real model ${word} does what direct edges predict when a feature is taken out (${ablations} tried)${missed}.${outputs}`;
}

export interface ProofRow {
  name: string;
  says: string;
  agreement: Agreement;
}

/** What was predicted in three ways. */
export function predictions({ direct, total, on_targets: targets }: Verification): ProofRow[] {
  return [
    { name: "by direct edges", says: "The change is minus the edge.", agreement: direct },
    { name: "along all paths", says: "With what the features between pass on.", agreement: total },
    { name: "of the outputs alone", says: "Along all paths, and compared on what the graph explains.", agreement: targets },
  ];
}

const LET_GO: Record<string, [string, string]> = {
  patterns: ["attention patterns", "Where heads look may change; all else is held."],
  norms: ["norms", "What norms divide by may change; all else is held."],
  "patterns and norms": ["patterns and norms", "Both may change."],
  MLPs: ["other MLPs", "Later MLPs answer the change; patterns and norms are held."],
  everything: ["everything", "The real model."],
};

/** What is hidden by holding things still: one thing let go at a time, direct edges. */
export const hides = ({ let_go: found }: Verification): ProofRow[] =>
  Object.entries(found).map(([key, agreement]) => {
    const [name, says] = LET_GO[key] ?? [key, ""];
    return { name, says, agreement };
  });
