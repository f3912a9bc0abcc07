import { Wide } from "../../components/lab/Wide";
import { figure, share } from "../../format";
import { alone, inText } from "../../tokens";
import { meanOf, nats, nextTokens, textOf, type Completion } from "./completions";
import { klShade } from "./SteerGrid";
import { changes, type Word } from "./words";

export interface Shown {
  key: string;
  title: string;
  says: string;
  completion: Completion;
}

const NEXT = 8;

/** The likeliest next tokens, without an edit and with each that is shown. */
export function NextTokens({ own, shown }: { own: Completion; shown: readonly Shown[] }) {
  const columns = [own, ...shown.map(({ completion }) => completion)];
  const rows = nextTokens(columns, NEXT);
  if (rows.length === 0) return null;
  return (
    <section>
      <h2>
        Next token <small>probability</small>
      </h2>
      <Wide label="Next token">
        <table className="table next-tokens">
          <thead>
            <tr>
              <th scope="col" className="text">
                token
              </th>
              <th scope="col">default</th>
              {shown.map(({ key, title }) => (
                <th key={key} scope="col">
                  {title}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(({ token, probabilities }) => (
              <tr key={token}>
                <th scope="row" className="text">
                  <code>{alone(token)}</code>
                </th>
                {probabilities.map((p, i) => (
                  <td
                    // oxlint-disable-next-line react/no-array-index-key -- a column is its place
                    key={i}
                    className="shaded"
                    style={{ "--p": Math.sqrt(p ?? 0).toFixed(3) } as React.CSSProperties}
                    data-says={p === null ? "not among the ten likeliest" : undefined}
                  >
                    {p === null ? "·" : p < 0.005 ? figure(p) : share(p)}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </section>
  );
}

/** The chosen completions beside the default; words that it doesn't have are underlined. */
export function Continuations({ own, shown }: { own: Completion; shown: readonly Shown[] }) {
  const base = textOf(own);
  return (
    <section className="continuations">
      <h2>
        Continuations side by side <small>words that default does not have are underlined</small>
      </h2>
      <div className="columns">
        <article aria-label="default">
          <h3>
            default <small>no edit</small>
          </h3>
          <p className="wrapped">{drawn(base)}</p>
        </article>
        {shown.map(({ key, title, says, completion }) => (
          <article key={key} aria-label={says}>
            <h3 data-says={says}>
              {title}{" "}
              <small>
                mean KL {nats(completion.done && meanOf(completion.done.kl))}
              </small>
            </h3>
            <p className="wrapped">
              <Changed words={changes(base, textOf(completion))} />
            </p>
          </article>
        ))}
      </div>
    </section>
  );
}

function Changed({ words }: { words: readonly Word[] }) {
  return words.map(({ text, isNew }, i) =>
    isNew ? (
      // oxlint-disable-next-line react/no-array-index-key -- a word is its place
      <ins key={i}>{drawn(text)}</ins>
    ) : (
      // oxlint-disable-next-line react/no-array-index-key -- a word is its place
      <span key={i}>{drawn(text)}</span>
    ),
  );
}

/** White space stays, and line breaks are drawn as well as made. */
const drawn = (text: string) =>
  text.split("\n").map((line) => (/^ *$/.test(line) ? line : inText(line))).join("↵\n");

/** How far each token's distribution is from the default's, on the tokens that the edit wrote. */
export function WhereFelt({ shown }: { shown: readonly Shown[] }) {
  const done = shown.filter(({ completion }) => completion.done);
  if (done.length === 0) return null;
  return (
    <section>
      <h2>
        Where it is felt <small>KL in nats from the model without the edit, at each token written</small>
      </h2>
      <Wide label="KL by token">
        <table className="felt">
          <tbody>
            {done.map(({ key, title, says, completion }) => (
              <tr key={key}>
                <th scope="row" data-says={says}>
                  {title}
                </th>
                {completion.tokens.map((token, i) => {
                  const kl = completion.done?.kl[i] ?? 0;
                  return (
                    // oxlint-disable-next-line react/no-array-index-key -- a token is its place
                    <td key={i}>
                      <code>{alone(token.text)}</code>
                      <span style={klShade(kl)}>{kl >= 0.995 || kl === 0 ? nats(kl) : share(kl)}</span>
                    </td>
                  );
                })}
                <td className="mean">
                  <small className="soft">mean</small>
                  <b>{nats(meanOf(completion.done?.kl ?? []))}</b>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Wide>
    </section>
  );
}
