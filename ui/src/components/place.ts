import type { Placement } from "@floating-ui/dom";

/** Puts an element beside another, inside of the window. The library comes when it is first needed. */
export async function place(floating: HTMLElement, beside: Element, placement: Placement): Promise<void> {
  const { computePosition, flip, offset, shift } = await import("@floating-ui/dom");
  const middleware = [offset(5), flip(), shift({ padding: 8 })];
  const { x, y } = await computePosition(beside, floating, { placement, strategy: "fixed", middleware });
  Object.assign(floating.style, { left: `${x}px`, top: `${y}px`, visibility: "visible" });
}
