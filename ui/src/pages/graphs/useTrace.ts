import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { traced, type TraceEvent, type TraceRequest } from "../../api/graphs";

type Progress = Extract<TraceEvent, { event: "progress" }>;

export interface Tracing {
  running: boolean;
  progress: Progress | null;
  error: Error | null;
  run: (body: TraceRequest, done: (name: string) => void) => void;
  cancel: () => void;
}

/** Traces one prompt at a time; leaving the page ends the work, on the server too. */
export function useTrace(): Tracing {
  const client = useQueryClient();
  const [running, setRunning] = useState(false);
  const [progress, setProgress] = useState<Progress | null>(null);
  const [error, setError] = useState<Error | null>(null);
  const request = useRef<AbortController>(null);
  const cancel = useCallback(() => {
    request.current?.abort();
    setRunning(false);
  }, []);
  useEffect(() => () => request.current?.abort(), []);
  const run = (body: TraceRequest, done: (name: string) => void) => {
    request.current?.abort();
    const own = new AbortController();
    request.current = own;
    setRunning(true);
    setError(null);
    setProgress(null);
    void (async () => {
      try {
        let found: string | null = null;
        for await (const event of traced(body, own.signal)) {
          if (event.event === "progress") setProgress(event);
          else if (event.event === "graph") found = event.name;
          else throw new Error(event.detail);
        }
        if (found === null) throw new Error("the server stopped before the graph was there");
        await client.invalidateQueries({ queryKey: ["graphs"] });
        if (!own.signal.aborted) done(found);
      } catch (cause) {
        if (!own.signal.aborted) setError(cause instanceof Error ? cause : new Error(String(cause)));
      } finally {
        if (request.current === own) setRunning(false);
      }
    })();
  };
  return { running, progress, error, run, cancel };
}
