import { useState } from "react";

type Theme = "light" | "dark";

function shown(): Theme {
  const chosen = document.documentElement.dataset.theme;
  if (chosen === "light" || chosen === "dark") return chosen;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

/** Turns light into dark and back; the system's preference holds until somebody chooses. */
export function ThemeButton() {
  const [theme, setTheme] = useState(shown);
  function turn() {
    const next = shown() === "dark" ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    localStorage.setItem("theme", next);
    setTheme(next);
  }
  return (
    <button
      type="button"
      className="icon"
      aria-label="Dark theme"
      aria-pressed={theme === "dark"}
      data-says="Light or dark"
      onClick={turn}
    >
      ◐
    </button>
  );
}
