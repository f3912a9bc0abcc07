import { autoUpdate, flip, offset, shift, useFloating } from "@floating-ui/react";
import { useId, useState, type ReactNode } from "react";

/**
 * A button with what it opens. The browser's own popover: Esc and a click beside it close it, and
 * the focus goes back to the button.
 */
export function Menu({
  label,
  name,
  className = "button",
  children,
}: {
  label: ReactNode;
  /** For ears, where the label is a sign. */
  name?: string;
  className?: string;
  children: (close: () => void) => ReactNode;
}) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const { refs: { setReference, setFloating }, floatingStyles, elements } = useFloating({
    open,
    placement: "bottom-start",
    strategy: "fixed",
    middleware: [offset(4), flip(), shift({ padding: 8 })],
    whileElementsMounted: autoUpdate,
  });
  const close = () => elements.floating?.hidePopover();
  return (
    <>
      <button
        ref={setReference}
        type="button"
        className={className}
        popoverTarget={id}
        aria-label={name}
        aria-expanded={open}
        data-says={name}
      >
        {label}
      </button>
      <div
        ref={setFloating}
        id={id}
        popover="auto"
        className="popover"
        style={floatingStyles}
        onToggle={(event) => setOpen(event.newState === "open")}
      >
        {open && children(close)}
      </div>
    </>
  );
}
