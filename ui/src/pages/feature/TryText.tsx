import { useDeferredValue, useEffect, useId, useState, type RefObject } from "react";
import type { Feature } from "../../api/client";
import { useAbout, useTry } from "../../api/queries";
import { TokenText } from "../../components/Tokens";
import { SERVE_WITH_MODEL, withDatabase } from "../../commands";
import { activation, percent } from "../../format";
import { shareBelow } from "./contextRows";

const WAIT = 300; // ms without a key before the model is asked

/** A sentence of one's own through the feature, as it is written. */
export function TryText({ name, feature, input }: { name: string; feature: Feature; input: RefObject<HTMLInputElement | null> }) {
  const about = useAbout();
  const id = useId();
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text), WAIT);
    return () => clearTimeout(timer);
  }, [text]);
  const found = useTry(name, feature.index, useDeferredValue(asked));
  if (about.data && !about.data.asks_model) {
    return (
      <p className="try soft">
        Own text needs the model: <code>{withDatabase(SERVE_WITH_MODEL, about.data)}</code>
      </p>
    );
  }
  const chosen = found.data?.chosen[0];
  const tokens = found.data?.tokens.map((each) => each.token) ?? [];
  const below = chosen ? shareBelow(feature.histogram, chosen.maximum) : null;
  return (
    <div className="try">
      <label htmlFor={id}>Try</label>
      <input
        id={id}
        ref={input}
        value={text}
        placeholder="a sentence of your own"
        onChange={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
      <kbd aria-hidden="true">t</kbd>
      {text.trim() !== "" && (
        <p className="tried" role="status">
          {found.error ? (
            <span className="soft">{found.error.message}</span>
          ) : found.data ? (
            <>
              <span className="wrapped">
                <TokenText tokens={tokens} activations={chosen?.values ?? []} maximum={feature.maximum} peak={chosen?.position} wrapped />
              </span>{" "}
              <span className="soft">
                {chosen
                  ? `${activation(chosen.maximum)}, stronger than ${percent(below)} of its firings`
                  : "silent on this text"}
              </span>
            </>
          ) : (
            <span className="soft">asking the model …</span>
          )}
        </p>
      )}
    </div>
  );
}
