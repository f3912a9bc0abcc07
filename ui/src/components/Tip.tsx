import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { place } from "./place";

/**
 * What an element says of itself in `data-says`, shown on hover and on focus. One for the whole
 * page, so that thousands of tokens cost nothing. Esc hides it.
 */
export function Tip() {
  const [shown, setShown] = useState<{ element: HTMLElement; text: string }>();
  const tip = useRef<HTMLDivElement>(null);

  useEffect(() => {
    function show(event: Event) {
      const from = event.target instanceof Element ? event.target : null;
      const element = from?.closest<HTMLElement>("[data-says]");
      setShown(element?.dataset.says ? { element, text: element.dataset.says } : undefined);
    }
    function hide(event: KeyboardEvent) {
      if (event.key === "Escape") setShown(undefined);
    }
    const leave = () => setShown(undefined);
    addEventListener("pointerover", show);
    addEventListener("focusin", show);
    addEventListener("focusout", leave);
    addEventListener("click", leave);
    addEventListener("keydown", hide);
    addEventListener("scroll", leave, { capture: true, passive: true });
    return () => {
      removeEventListener("pointerover", show);
      removeEventListener("focusin", show);
      removeEventListener("focusout", leave);
      removeEventListener("click", leave);
      removeEventListener("keydown", hide);
      removeEventListener("scroll", leave, { capture: true });
    };
  }, []);

  useLayoutEffect(() => {
    if (shown === undefined || tip.current === null) return;
    const { element } = shown;
    void place(tip.current, element, "top");
    element.setAttribute("aria-describedby", "tip");
    return () => element.removeAttribute("aria-describedby");
  }, [shown]);

  if (shown === undefined) return null;
  return (
    <div ref={tip} id="tip" role="tooltip" className="tip" style={{ visibility: "hidden" }}>
      {shown.text}
    </div>
  );
}
