import type { ReactNode } from "react";
import { useFeatures } from "../../components/lab/features";
import { Failed, Skeleton } from "../../components/States";
import { count, decimal, figure, percent } from "../../format";
import { alone, opacity } from "../../tokens";
import { AtToken } from "./AtToken";
import { useColored, type Panel } from "./data";
import { FeatureStrips } from "./FeatureStrips";
import { firing, mean, nats, unexpected } from "./figures";
import { PromptText } from "./PromptText";
import type { PromptState } from "./state";

interface PromptColumnProps {
  number: number;
  state: PromptState;
  /** The answers on this text, one for each SAE. */
  panels: readonly Panel[];
  row: number | null;
  /** What stands between the text and the features. */
  controls?: ReactNode;
  onToken: (token: number | null) => void;
  onColor: (sae: number, index: number) => void;
  onEdit: () => void;
  onRemove?: (() => void) | undefined;
}

/** A text, and below it what each SAE makes of it. */
export function PromptColumn(props: PromptColumnProps) {
  const { number, state, panels, row, controls, onToken, onColor, onEdit, onRemove } = props;
  const which = state.feature?.sae ?? 0;
  const coloring = panels[which] ?? panels[0];
  const colored = useColored(state, coloring);
  const features = useFeatures(coloring?.sae);
  const found = panels.find(({ answer }) => answer.data)?.answer.data;
  const token = number === 0 && found && state.token !== null && state.token < found.tokens.length ? state.token : null;
  if (!found) {
    const error = panels.find(({ answer }) => answer.error)?.answer.error;
    // Asked for only where there is a model to ask: without one the page says how to start it.
    if (panels.every(({ answer }) => answer.isPending && !answer.isFetching)) return null;
    return error ? (
      <div>
        <Failed what="The text can't be looked at:" error={error} />
        <button type="button" className="button" onClick={onEdit}>
          edit the text
        </button>
      </div>
    ) : (
      <Skeleton rows={12} label="The model reads the text" />
    );
  }
  const isFeature = state.color === "feature" && state.feature !== null;
  const strongest = coloring?.answer.data?.per_token ?? [];
  const shades = found.tokens.map((each, i) => {
    if (state.color === "log-probability") return unexpected(each.log_probability ?? null);
    if (isFeature) {
      const own = features?.maximum(state.feature?.index ?? 0) ?? Math.max(...(colored ?? [0]));
      return opacity(colored?.[i] ?? 0, own);
    }
    const best = strongest[i]?.[0];
    return best ? opacity(best.activation, features?.maximum(best.index) ?? best.activation) : 0;
  });
  const says = (i: number) => {
    const each = found.tokens[i];
    const best = strongest[i]?.[0];
    return [
      alone(each?.token ?? ""),
      isFeature ? `${state.feature?.index}: ${figure(colored?.[i] ?? 0)}` : best && `strongest ${best.index}: ${figure(best.activation)}`,
      typeof each?.log_probability === "number" && `${nats(each.log_probability)} nats`,
    ]
      .filter(Boolean)
      .join(" · ");
  };
  return (
    <section className="prompt-column" aria-label={`Text ${number + 1}`} aria-busy={panels.some(({ answer }) => answer.isFetching)}>
      <PromptText
        tokens={found.tokens}
        shades={shades}
        hue={state.color === "log-probability" ? "unexpected" : "activation"}
        says={says}
        selected={token}
        onSelect={onToken}
        label={`Tokens of text ${number + 1}`}
      />
      <p className="text-actions">
        <button type="button" className="link" onClick={onEdit}>
          edit
        </button>
        {onRemove && (
          <button type="button" className="link" onClick={onRemove}>
            remove
          </button>
        )}
      </p>
      {controls}
      <div className={panels.length > 1 ? "prompt-saes two" : "prompt-saes"}>
        {panels.map(({ sae, answer }, i) => {
          const own = answer.data;
          if (answer.error) return <Failed key={sae} what={`${sae}:`} error={answer.error} />;
          if (!own) return <Skeleton key={sae} rows={12} />;
          const ranked = own.tokens.map((each, k) => (each.special ? null : (own.active[k] ?? null)));
          const explained = own.variance_explained.filter((_, k) => !own.tokens[k]?.special);
          return (
            <section key={sae} aria-label={sae}>
              <h2>
                {sae}
                <small>
                  {count(firing(own))} features active, {decimal(mean(ranked))} a token ·{" "}
                  <span data-says="1 − ‖y − ŷ‖² / ‖y − ŷ₀‖², ŷ₀ what the SAE gives when nothing fires; mean over the text's tokens">
                    {percent(mean(explained))} of a token's variance
                  </span>
                </small>
              </h2>
              {token !== null && <AtToken found={own} token={token} onColor={(index) => onColor(i, index)} />}
              {own.features.length > 0 ? (
                <FeatureStrips
                  found={own}
                  rank={state.rank}
                  selectedToken={token}
                  colored={isFeature && which === i ? (state.feature?.index ?? null) : null}
                  current={i === 0 ? row : null}
                  onColor={(index) => onColor(i, index)}
                />
              ) : (
                <p className="empty">
                  No feature is left: {own.hidden.dense} dense ones are hidden, {own.hidden.special} fire on special
                  tokens alone.
                </p>
              )}
              {own.total > own.features.length && (
                <p className="note">
                  The first {own.features.length} of {count(own.total)}.
                </p>
              )}
            </section>
          );
        })}
      </div>
    </section>
  );
}
