/** One color for each architecture, the same on every page: variables of the theme. */
const COLORS: Record<string, string> = {
  topk: "var(--c1)",
  relu: "var(--c2)",
  batchtopk: "var(--c3)",
  jumprelu: "var(--c4)",
  matryoshka: "var(--c5)",
  gated: "var(--c6)",
  p_annealing: "var(--c7)",
  hierarchical: "var(--c8)",
};

export const colorOf = (architecture: string): string => COLORS[architecture] ?? "var(--soft)";
