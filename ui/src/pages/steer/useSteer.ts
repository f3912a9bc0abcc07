import { useCallback, useEffect, useRef, useState } from "react";
import { steer, type SteerEvent, type SteerRequest } from "../../api/model";
import { after, nothing, type Completions } from "./completions";

export interface Steering {
  known: Completions;
  running: boolean;
  error: Error | null;
  /** What the shown completions are of; null before the first run. */
  asked: string | null;
  run: (body: Partial<SteerRequest>) => void;
  cancel: () => void;
}

/** Runs one request at a time; a new one and leaving the page end the one before, on the server too. */
export function useSteer(): Steering {
  const [known, setKnown] = useState<Completions>(nothing);
  const [running, setRunning] = useState(false);
  const [error, setError] = useState<Error | null>(null);
  const [asked, setAsked] = useState<string | null>(null);
  const request = useRef<AbortController>(null);

  const cancel = useCallback(() => {
    request.current?.abort();
    setRunning(false);
  }, []);
  useEffect(() => () => request.current?.abort(), []);

  const run = useCallback((body: Partial<SteerRequest>) => {
    request.current?.abort();
    const own = new AbortController();
    request.current = own;
    setKnown(nothing());
    setError(null);
    setAsked(JSON.stringify(body));
    setRunning(true);
    void (async () => {
      // Events of one moment are shown together: one drawing for them all.
      let waiting: SteerEvent[] = [];
      const flush = () => {
        const events = waiting;
        waiting = [];
        if (events.length > 0 && !own.signal.aborted) setKnown((before) => after(before, events));
      };
      const timer = setInterval(flush, 80);
      try {
        for await (const event of steer(body, own.signal)) waiting.push(event);
      } catch (cause) {
        if (!own.signal.aborted) setError(cause instanceof Error ? cause : new Error(String(cause)));
      } finally {
        clearInterval(timer);
        flush();
        if (request.current === own) setRunning(false);
      }
    })();
  }, []);
  return { known, running, error, asked, run, cancel };
}
