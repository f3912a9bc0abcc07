import { useCallback } from "react";
import { useLocation, useNavigate } from "react-router";

/**
 * A page's state in the part of the address after `#`, which a browser sends to no server. Small
 * steps replace the entry of the history, so that "back" leaves what was chosen and not each step.
 */
export function useHash<S>(
  read: (hash: string) => S,
  write: (state: S) => string,
): [S, (change: Partial<S>, step?: "push" | "replace") => void] {
  const { hash } = useLocation();
  const navigate = useNavigate();
  const state = read(hash);
  const change = useCallback(
    (changes: Partial<S>, step: "push" | "replace" = "replace") => {
      // What the address says now: two changes in one moment must not undo each other.
      const next = { ...read(location.hash), ...changes };
      void navigate(
        { hash: write(next) || "#", search: location.search },
        { replace: step === "replace", preventScrollReset: true },
      );
    },
    [navigate, read, write],
  );
  return [state, change];
}
