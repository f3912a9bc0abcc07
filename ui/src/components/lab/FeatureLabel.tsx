import { Label } from "../Label";
import { useFeatures } from "./features";

/** What a feature of an SAE is called; nothing until the SAE's columns are there. */
export function FeatureLabel({ sae, index }: { sae: string; index: number }) {
  const facts = useFeatures(sae)?.label(index);
  return facts ? <Label {...facts} /> : <span className="label" />;
}
