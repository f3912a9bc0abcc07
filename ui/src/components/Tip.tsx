import { autoUpdate, flip, offset, shift, useFloating } from "@floating-ui/react";
import { useEffect, useState } from "react";

/**
 * What an element says of itself in `data-says`, shown on hover and on focus. One for the whole
 * page, so that thousands of tokens cost nothing. Esc hides it.
 */
export function Tip() {
  const [shown, setShown] = useState<{ element: HTMLElement; text: string }>();
  const { refs: { setReference, setFloating }, floatingStyles } = useFloating({
    open: shown !== undefined,
    placement: "top",
    strategy: "fixed",
    middleware: [offset(6), flip(), shift({ padding: 8 })],
    whileElementsMounted: autoUpdate,
  });

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
    addEventListener("keydown", hide);
    addEventListener("scroll", leave, { capture: true, passive: true });
    return () => {
      removeEventListener("pointerover", show);
      removeEventListener("focusin", show);
      removeEventListener("focusout", leave);
      removeEventListener("keydown", hide);
      removeEventListener("scroll", leave, { capture: true });
    };
  }, []);

  useEffect(() => {
    if (shown === undefined) return;
    const { element } = shown;
    setReference(element);
    element.setAttribute("aria-describedby", "tip");
    return () => element.removeAttribute("aria-describedby");
  }, [shown, setReference]);

  if (shown === undefined) return null;
  return (
    <div ref={setFloating} id="tip" role="tooltip" className="tip" style={floatingStyles}>
      {shown.text}
    </div>
  );
}
