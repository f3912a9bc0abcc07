import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { getPlaces, type About } from "../../api/client";
import { ANALYZE, CACHE, DEMO, SERVE_OTHER, TRAIN, withDatabase, withPlaces } from "../../commands";
import { announce } from "../../page";

/** Nothing analyzed yet: the commands that change that, with what is on this machine already. */
export function EmptyHome({ about }: { about: About | undefined }) {
  const places = useQuery({ queryKey: ["places"], queryFn: ({ signal }) => getPlaces(signal) }).data;
  const cache = places?.caches[0];
  const run = places?.runs[0];
  const train = cache ? withPlaces(TRAIN, { cache: cache.path, run: `runs/${nameOf(cache.path)}`, hook: cache.hooks[0] }) : TRAIN;
  const ready = run
    ? withPlaces(ANALYZE, { run: run.path, cache: run.cache ?? cache?.path })
    : cache
      ? withPlaces(ANALYZE, { run: `runs/${nameOf(cache.path)}`, cache: cache.path })
      : ANALYZE;
  return (
    <section className="empty-home">
      <h1>Nothing analyzed yet</h1>
      <p className="soft">
        This database {about && <>({about.database})</>} holds no SAE. Three commands fill it; this
        page shows them as they finish, without a reload.
      </p>
      <ol>
        <Step number={1} title="Run a model once and keep its activations" command={CACHE} there={places?.caches.map(({ path }) => path)} />
        <Step number={2} title="Train one SAE, or a sweep, on one read of them" command={train} there={places?.runs.map(({ path }) => path)} />
        <Step number={3} title="Find what each feature fires on" command={about ? withDatabase(ready, about) : ready} />
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

const nameOf = (path: string) => path.split("/").at(-1) ?? path;

const NOWHERE: readonly string[] = [];

interface StepProps {
  number: number;
  title: string;
  command: string;
  /** Folders where this step is done already. */
  there?: readonly string[] | undefined;
}

function Step({ number, title, command, there = NOWHERE }: StepProps) {
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
        {there.length > 0 && (
          <p className="soft there">
            done already in <code>{there[0]}</code>
            {there.length > 1 && ` and ${there.length - 1} more`}
          </p>
        )}
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
