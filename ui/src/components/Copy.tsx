import { useState } from "react";
import { announce } from "../page";

/** Puts a text into the clipboard, and says whether it is there. */
export function Copy({ what, text, className = "link" }: { what: string; text: string; className?: string }) {
  const [copied, setCopied] = useState(false);
  async function copy() {
    try {
      await navigator.clipboard.writeText(text);
      setCopied(true);
      announce(`${what} copied`);
      setTimeout(() => setCopied(false), 1500);
    } catch {
      announce("the browser does not let this page copy");
    }
  }
  return (
    <button type="button" className={className} onClick={() => void copy()}>
      {copied ? "copied" : `copy ${what}`}
    </button>
  );
}
