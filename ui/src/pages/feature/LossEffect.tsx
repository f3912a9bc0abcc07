import { useMutation } from "@tanstack/react-query";
import { sent } from "../../api/client";
import { useAbout } from "../../api/queries";
import type { components } from "../../api/schema";
import { Failed } from "../../components/States";
import { figure } from "../../format";
import { alone } from "../../tokens";
import { mostChanged } from "./contextRows";

type Answer = components["schemas"]["LossEffect"];
const SHOWN = 6;

interface LossEffectProps {
  name: string;
  analysis: string;
  index: number;
  context: number;
  tokens: readonly string[];
}

/** What taking the feature out does to the tokens that follow, where there is a model to ask. */
export function LossEffect({ name, analysis, index, context, tokens }: LossEffectProps) {
  const asks = useAbout().data?.asks_model ?? false;
  const effect = useMutation({
    mutationFn: () => sent<Answer>("POST", `/api/saes/${name}/features/${index}/loss-effect`, { contexts: [context], analysis }),
  });
  if (!asks) return null;
  const changes = effect.data?.contexts[0]?.changes;
  return (
    <div className="loss-effect" aria-busy={effect.isPending}>
      {!changes && (
        <button type="button" className="link" disabled={effect.isPending} onClick={() => effect.mutate()}>
          {effect.isPending ? "the model reads it" : "loss effect"}
        </button>
      )}
      {effect.error && <Failed what="No loss effect:" error={effect.error} />}
      {changes && (
        <>
          <p className="soft">Without the feature, these tokens' log-probability changes most (nats; below 0: it helped):</p>
          <ol>
            {mostChanged(changes, SHOWN).map((place) => (
              <li key={place} className={(changes[place] ?? 0) < 0 ? "helped" : undefined}>
                <code>{alone(tokens[place] ?? "")}</code> → <code>{alone(tokens[place + 1] ?? "")}</code> {figure(changes[place])}
              </li>
            ))}
          </ol>
        </>
      )}
    </div>
  );
}
