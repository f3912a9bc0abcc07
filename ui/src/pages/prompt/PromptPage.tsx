import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { Link, useNavigate } from "react-router";
import { getAbout, getSAEs } from "../../api/client";
import { ChooseSAE } from "../../components/lab/ChooseSAE";
import { useHash } from "../../components/lab/hash";
import { ModelNote } from "../../components/lab/ModelNote";
import { Segments } from "../../components/lab/Segments";
import { Empty, Failed } from "../../components/States";
import { useKeys } from "../../keys";
import { usePage } from "../../page";
import { hookCrumb, steerText } from "../../paths";
import { count } from "../../format";
import { tracePath } from "../graphs/addresses";
import { usePanels } from "./data";
import { PromptColumn } from "./PromptColumn";
import { PromptEditor } from "./PromptEditor";
import { readPrompt, writePrompt, type PromptState } from "./state";
import "../../components/lab/lab.css";
import "./prompt.css";

const RANK_TITLES = [
  { value: "surprise", title: "surprise", says: "by how rare it is that the feature is so strong" },
  { value: "maximum", title: "max", says: "by the largest activation in this text" },
  { value: "sum", title: "sum", says: "by the sum of its activations in this text" },
  { value: "share", title: "share of reconstruction", says: "by its part of what the SAE gives back" },
] as const;

/** A text of one's own: which features of one or two SAEs fire on which token. */
export function PromptPage() {
  const [state, change] = useHash(readPrompt, writePrompt);
  const saes = useQuery({ queryKey: ["saes"], queryFn: ({ signal }) => getSAEs(signal) });
  const about = useQuery({ queryKey: ["about"], queryFn: ({ signal }) => getAbout(signal) });
  const all = useMemo(() => saes.data ?? [], [saes.data]);
  const named = state.saes.length > 0 ? state.saes : all.slice(0, 1).map(({ name }) => name);
  const shown: PromptState = { ...state, saes: named };
  const [editing, setEditing] = useState<number | null>(null);
  const [row, setRow] = useState<number | null>(null);
  const navigate = useNavigate();
  const panels = usePanels(shown, about.data?.asks_model ?? false);
  const first = panels[0]?.answer.data;
  const of = all.find(({ name }) => name === named[0]);
  usePage({
    title: "own text",
    crumbs: [...(of ? [hookCrumb(of)] : []), { label: "own text" }],
    sae: named[0],
  });

  const walk = (step: number) => {
    const most = (first?.features.length ?? 0) - 1;
    if (most >= 0) setRow((at) => Math.min(Math.max((at ?? -1) + step, 0), most));
  };
  const color = (sae: number, index: number) => {
    const same = state.feature?.sae === sae && state.feature.index === index;
    const next = same && state.color === "feature";
    change(
      next
        ? { color: "strongest", feature: null }
        : { color: "feature", feature: { sae, index } },
    );
  };
  const step = (key: string) => {
    const most = (first?.tokens.length ?? 0) - 1;
    if (most < 0) return;
    const at = state.token ?? (key === "ArrowRight" ? -1 : most + 1);
    change({ token: Math.min(Math.max(at + (key === "ArrowRight" ? 1 : -1), 0), most) });
  };
  const chosen = row === null ? undefined : first?.features[row]?.index;
  const steer = () => {
    const index = state.feature?.index ?? chosen;
    const sae = named[state.feature?.sae ?? 0];
    void navigate(steerText(state.texts[0] ?? "", sae, index));
  };
  useKeys("Own text", [
    { keys: ["ArrowLeft", "ArrowRight"], does: "token before, after", run: step },
    { keys: ["j"], does: "next feature", run: () => walk(1) },
    { keys: ["k"], does: "previous feature", run: () => walk(-1) },
    { keys: ["p"], does: "color the text by the feature", run: () => chosen !== undefined && color(0, chosen) },
    { keys: ["d"], does: "hide or show dense features", run: () => change({ hideDense: !state.hideDense }) },
    { keys: ["e"], does: "edit the text", run: () => setEditing(0) },
    { keys: ["s"], does: "steer with the text", run: steer },
  ]);

  if (saes.error) return <Failed what="The SAEs can't be listed:" error={saes.error} retry={() => void saes.refetch()} />;
  if (saes.data && all.length === 0) return <div className="wrap"><h1>Own text</h1><Empty>There is no SAE yet. Home says how to get one.</Empty></div>;
  const sameModel = all.filter((each) => each.model === of?.model && !named.includes(each.name));
  const texts = state.texts.length > 0 ? state.texts : [""];
  const hidden = panels.filter(({ text }) => text === 0).map(({ answer }) => answer.data?.hidden.dense);
  const controls = first && (
        <div className="prompt-controls">
          <span className="soft">color</span>
          <Segments
            label="Color of the text"
            value={state.color}
            onChange={(value) => change({ color: value })}
            options={[
              ...(state.feature ? [{ value: "feature" as const, title: `feature ${state.feature.index}` }] : []),
              { value: "strongest", title: "strongest", says: "the strongest feature at each token" },
              { value: "log-probability", title: "log-probability", says: "how little the model expected each token" },
            ]}
          />
          <span className="soft">rank by</span>
          <Segments label="Rank by" value={state.rank} options={RANK_TITLES} onChange={(rank) => change({ rank })} />
          <button
            type="button"
            className="chip"
            aria-pressed={state.hideDense}
            data-says="dense: fires on more than 10 % of the tokens analyzed"
            onClick={() => change({ hideDense: !state.hideDense })}
          >
            {state.hideDense ? <>dense hidden <b>{hidden.map((n) => n ?? "–").join(" and ")}</b> ×</> : "hide dense"}
          </button>
          <button
            type="button"
            className="chip"
            aria-pressed={state.onlyToken && state.token !== null}
            disabled={state.token === null}
            onClick={() => change({ onlyToken: !state.onlyToken })}
          >
            only at selected token
          </button>
          <p className="note">
            Bits: −log₂ of the share of all tokens analyzed on which the feature is at least this strong. Share: of
            the squared norm of the reconstruction; sums to 100 % over all features.
          </p>
        </div>
      );
  return (
    <div className="wrap prompt-page">
      <header className="page-head">
        <h1>Own text</h1>
        <div className="chips">
          {named.map((name) => (
            <span key={name} className="chip on">
              {name}
              {named.length > 1 && (
                <button
                  type="button"
                  className="off"
                  aria-label={`Without ${name}`}
                  onClick={() => change({ saes: named.filter((other) => other !== name), feature: null, color: "strongest" }, "push")}
                >
                  ×
                </button>
              )}
            </span>
          ))}
          {named.length < 2 && (
            <ChooseSAE
              label="+ SAE"
              names={sameModel.map(({ name }) => name)}
              onChoose={(name) => change({ saes: [...named, name] }, "push")}
            />
          )}
          {state.texts.length === 1 && (
            <button type="button" className="chip" onClick={() => { change({ texts: [...state.texts, ""] }, "push"); setEditing(1); }}>
              + second text
            </button>
          )}
        </div>
        {first && (
          <span className="soft head-note">
            {count(first.tokens.length - (first.bos_added ? 1 : 0))} tokens
            {first.bos_added && ", ⊢ prepended"}, special ones not ranked
          </span>
        )}
        {(texts[0] ?? "") !== "" && (
          <Link className="button" to={tracePath(texts[0] ?? "")} data-says="which features made the model say what comes next">
            trace this ▸
          </Link>
        )}
        <button type="button" className="button" onClick={steer}>
          steer this ▸
        </button>
      </header>
      <ModelNote about={about.data} what="A text of one's own" />
      {texts.length > 1 && controls}
      <div className={texts.length > 1 && named.length === 1 ? "prompt-texts two" : "prompt-texts"}>
        {texts.map((text, number) =>
          editing === number || text === "" ? (
            <PromptEditor
              // oxlint-disable-next-line react/no-array-index-key -- a text is its place
              key={number}
              text={text}
              label={texts.length > 1 ? `Text ${number + 1}` : "Text"}
              onDone={(next) => {
                setEditing(null);
                change({ texts: texts.with(number, next), token: null, onlyToken: false }, "push");
              }}
              onCancel={
                text !== "" || number > 0
                  ? () => {
                      setEditing(null);
                      if (text === "") change({ texts: texts.slice(0, 1) });
                    }
                  : undefined
              }
            />
          ) : (
            <PromptColumn
              // oxlint-disable-next-line react/no-array-index-key -- a text is its place
              key={number}
              number={number}
              state={shown}
              panels={panels.filter((panel) => panel.text === number)}
              row={number === 0 ? row : null}
              controls={texts.length === 1 && controls}
              onToken={(token) => change(token === null ? { token, onlyToken: false } : { token })}
              onColor={color}
              onEdit={() => setEditing(number)}
              onRemove={texts.length > 1 ? () => change({ texts: texts.filter((_, i) => i !== number), token: null }, "push") : undefined}
            />
          ),
        )}
      </div>
    </div>
  );
}
