/** What is known of an SAE's features without asking for each. */
import type { LabelFacts } from "../Label";

export interface FeatureFacts {
  maximum: (index: number) => number | null;
  isDense: (index: number) => boolean;
  label: (index: number) => LabelFacts | null;
}

export function useFeatures(_sae: string | undefined): FeatureFacts | undefined {
  return undefined;
}
