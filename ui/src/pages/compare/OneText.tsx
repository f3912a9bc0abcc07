import { useQuery } from "@tanstack/react-query";
import { useDeferredValue } from "react";
import { getActivations } from "../../api/model";
import { useFeatures } from "../../components/lab/features";
import { Failed } from "../../components/States";
import { TokenText } from "../../components/Tokens";
import { promptPath } from "../../paths";
import { Link } from "react-router";

interface OneTextProps {
  text: string;
  onText: (text: string) => void;
  asks: boolean;
  /** Of each SAE the feature that the text is colored by. */
  features: readonly { sae: string; index: number }[];
}

/** One text through all the SAEs, each colored by its feature. */
export function OneText({ text, onText, asks, features }: OneTextProps) {
  const asked = useDeferredValue(text);
  return (
    <section className="one-text">
      <h2>
        The same text through all <small>a row's cosine chooses the features</small>
      </h2>
      <input
        className="field"
        aria-label="A text for all the SAEs"
        placeholder="A text of your own"
        value={text}
        disabled={!asks}
        onChange={(event) => onText(event.currentTarget.value)}
      />
      {asked !== "" && (
        <div className="texts">
          {features.map(({ sae, index }) => (
            <OnText key={sae} sae={sae} index={index} text={asked} asks={asks} />
          ))}
        </div>
      )}
    </section>
  );
}

function OnText({ sae, index, text, asks }: { sae: string; index: number; text: string; asks: boolean }) {
  const body = { text, features: [index], limit: 1, per_token: 0 };
  const found = useQuery({
    queryKey: ["activations", sae, body],
    queryFn: ({ signal }) => getActivations(sae, body, signal),
    enabled: asks,
    retry: false,
  });
  const facts = useFeatures(sae);
  if (found.error) return <Failed what={`${sae}:`} error={found.error} />;
  if (!found.data) return <p className="soft">…</p>;
  const own = found.data.chosen[0];
  return (
    <div>
      <p className="wrapped">
        <TokenText
          tokens={found.data.tokens.map(({ token }) => token)}
          activations={own?.values ?? []}
          maximum={facts?.maximum(index) ?? own?.maximum ?? 1}
          peak={own?.position}
          wrapped
        />
      </p>
      <p className="note">
        feature {index} of {sae}
        {!own && ", silent here"} · <Link to={promptPath(sae, text)}>all its features</Link>
      </p>
    </div>
  );
}
