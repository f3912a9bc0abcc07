import { useId, useRef, useState, type ReactNode, type RefObject } from "react";
import { place } from "./place";

/**
 * A button with what it opens. The browser's own popover: Esc and a click beside it close it, and
 * the focus goes back to the button.
 */
export function Menu({
  label,
  name,
  className = "button",
  opener,
  children,
}: {
  label: ReactNode;
  /** For ears, where the label is a sign. */
  name?: string;
  className?: string;
  /** The button, for a key that presses it. */
  opener?: RefObject<HTMLButtonElement | null>;
  children: (close: () => void) => ReactNode;
}) {
  const id = useId();
  const [open, setOpen] = useState(false);
  const own = useRef<HTMLButtonElement>(null);
  const button = opener ?? own;
  const popover = useRef<HTMLDivElement>(null);
  function toggle(isOpen: boolean) {
    setOpen(isOpen);
    // Once its contents are there, and with them its size.
    requestAnimationFrame(() => {
      if (isOpen && popover.current && button.current) void place(popover.current, button.current, "bottom-start");
    });
  }
  return (
    <>
      <button
        ref={button}
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
        ref={popover}
        id={id}
        popover="auto"
        className="popover"
        onToggle={(event) => toggle(event.newState === "open")}
      >
        {open && children(() => document.getElementById(id)?.hidePopover())}
      </div>
    </>
  );
}
