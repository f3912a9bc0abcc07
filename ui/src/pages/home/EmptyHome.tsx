import { useState } from "react";
import type { About } from "../../api/client";
import { ANALYZE, CACHE, DEMO, SERVE_OTHER, TRAIN, withDatabase } from "../../commands";
import { announce } from "../../page";

/** Nothing analyzed yet: the commands that change that, as they stand. */
export function EmptyHome({ about }: { about: About | undefined }) {
  const analyze = about ? withDatabase(ANALYZE, about) : ANALYZE;
  return (
    <section className="empty-home">
      <h1>Nothing analyzed yet</h1>
      <p className="soft">
        This database {about && <>({about.database})</>} holds no SAE. Three commands fill it; this
        page shows them as they finish, without a reload.
      </p>
      <ol>
        <Step number={1} title="Run a model once and keep its activations" command={CACHE} />
        <Step number={2} title="Train one SAE, or a sweep, on one read of them" command={TRAIN} />
        <Step number={3} title="Find what each feature fires on" command={analyze} />
      </ol>
      <p className="soft">
        No model at hand? <code>{DEMO}</code> does all three with a bundled one. Reading another
        database: <code>{SERVE_OTHER}</code>
      </p>
      {about?.database_uri !== null && about !== undefined && (
        <p className="soft">If the database has accounts, add user and password to its address.</p>
      )}
    </section>
  );
}

function Step({ number, title, command }: { number: number; title: string; command: string }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    await navigator.clipboard.writeText(command);
    setCopied(true);
    announce("Copied");
  }
  return (
    <li>
      <b aria-hidden="true">{number}</b>
      <div>
        {title}
        <pre className="command">
          <code>{command.replaceAll(/ (?=--(hook|out|cache|db) )/g, " \\\n  ")}</code>
          <button type="button" className="link" onClick={() => void copy()} aria-label={`Copy: ${command}`}>
            {copied ? "copied" : "copy"}
          </button>
        </pre>
      </div>
    </li>
  );
}
