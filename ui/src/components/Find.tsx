import type { FormEvent, RefObject } from "react";
import { useNavigate } from "react-router";
import { featurePath, searchPath } from "../paths";

/** The search of the bar: a number is a feature of the SAE that is shown, all else is searched. */
export function Find({ input, sae }: { input: RefObject<HTMLInputElement | null>; sae?: string | undefined }) {
  const navigate = useNavigate();
  function search(event: FormEvent) {
    event.preventDefault();
    const text = input.current?.value.trim() ?? "";
    if (text === "") return;
    const number = /^\d+$/.test(text) && sae !== undefined;
    input.current?.blur();
    void navigate(number ? featurePath(sae, Number(text)) : searchPath(text, sae));
  }
  return (
    <form className="find" role="search" onSubmit={search}>
      <input
        ref={input}
        aria-label="Find a feature, token, label, SAE or list"
        placeholder="feature, token, label"
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}
