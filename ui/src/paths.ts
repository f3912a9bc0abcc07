/** Addresses of the viewer's pages. Names of SAEs hold nothing that needs escaping. */
import type { Dictionary } from "./api/client";
import type { Step } from "./components/Crumbs";
import { shortName } from "./format";

export const homePath = (model: string, hook: string) => `/?${new URLSearchParams({ model, hook })}`;
export const dictionaryPath = (name: string) => `/sae/${name}`;
export const featurePath = (name: string, index: number | "random") =>
  `/sae/${name}/feature/${index}`;

/** The crumb of an SAE's hook. */
export const hookStep = ({ model, hook }: Dictionary): Step => ({
  label: `${shortName(model)} · ${hook}`,
  to: homePath(model, hook),
});

/** The crumbs down to an SAE, for pages below it. */
export const stepsTo = (dictionary: Dictionary): Step[] => [
  hookStep(dictionary),
  { label: dictionary.name, to: dictionaryPath(dictionary.name) },
];
