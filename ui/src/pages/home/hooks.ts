/** SAEs by what they read and give back. */
import type { SAESummary } from "../../api/client";
import type { Point } from "./pareto";

export interface HookGroup {
  model: string;
  hook: string;
  /** The hook whose activations a transcoder gives; null for SAEs, which give their own hook's. */
  target: string | null;
  members: SAESummary[];
}

/** Groups by model, hook and target, in the order of models and layers. */
export function byHook(saes: readonly SAESummary[]): HookGroup[] {
  const groups = new Map<string, HookGroup>();
  for (const each of saes) {
    const target = targetOf(each);
    const key = [each.model, each.hook, target ?? ""].join("\n");
    const group = groups.get(key) ?? { model: each.model, hook: each.hook, target, members: [] };
    group.members.push(each);
    groups.set(key, group);
  }
  return [...groups.values()].toSorted(
    (a, b) =>
      compare(a.model, b.model) ||
      compare(a.hook, b.hook) ||
      compare(a.target ?? "", b.target ?? ""),
  );
}

const compare = (a: string, b: string) => a.localeCompare(b, "en", { numeric: true });

/** Null where it reads and gives back the same hook. */
export const targetOf = ({ hook, target }: SAESummary): string | null =>
  target === null || target === hook ? null : target;

export const hookName = ({ hook, target }: HookGroup): string =>
  target === null ? hook : `${hook} → ${target}`;

export type Measure = "fvu" | "ce";

/** 1.96 standard errors to each side are the 95 % interval. */
const NINETY_FIVE = 1.96;

const half = (error: number | null): number | null =>
  error === null ? null : NINETY_FIVE * error;

/**
 * The SAEs that have both measurements, as points: L0 across, upwards FVU or what is lost of the
 * cross-entropy (1 − the share recovered), so that lower left is better either way.
 */
export function pointsOf(saes: readonly SAESummary[], measure: Measure): Point[] {
  return saes.flatMap((sae) => {
    const { l0, name, run, architecture, features } = sae;
    const y = measure === "fvu" ? sae.fvu : sae.ce_recovered === null ? null : 1 - sae.ce_recovered;
    if (l0 === null || y === null) return [];
    const yError = half(measure === "fvu" ? sae.fvu_error : sae.ce_recovered_error);
    const xError = half(sae.l0_error);
    return [{ name, run, architecture, features, target: targetOf(sae), x: l0, y, xError, yError }];
  });
}
