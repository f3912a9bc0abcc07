/** Addresses of the viewer's pages. Names of SAEs hold nothing that needs escaping. */
import { redirect, type LoaderFunctionArgs } from "react-router";
import type { SAE } from "./api/client";
import type { Crumb } from "./page";
import { shortName } from "./format";

export const homePath = (model: string, hook: string) => `/?${new URLSearchParams({ model, hook })}`;
export const saePath = (name: string) => `/saes/${name}`;
export const featurePath = (name: string, index: number | "random") =>
  `/saes/${name}/features/${index}`;

export const promptPath = (sae?: string, text?: string) => {
  const state = new URLSearchParams({ ...(sae === undefined ? {} : { sae }), ...(text === undefined ? {} : { text }) });
  return sae === undefined && text === undefined ? "/prompt" : `/prompt#${state}`;
};
export const steerPath = (sae?: string, feature?: number) =>
  sae === undefined ? "/steer" : `/steer#sae=${sae}${feature === undefined ? "" : `&feature=${feature}`}`;
export const comparePath = (sae?: string) => (sae === undefined ? "/compare" : `/compare?a=${sae}`);
export const searchPath = (text: string, sae?: string) =>
  `/search?${new URLSearchParams(sae === undefined ? { q: text } : { q: text, sae })}`;

/** `/sae/NAME` and `/sae/NAME/feature/INDEX`, as these pages' addresses once were. */
export function redirectFormer({ request }: LoaderFunctionArgs) {
  const { pathname, search } = new URL(request.url);
  const path = pathname.replace(/^\/sae\//, "/saes/").replace("/feature/", "/features/");
  return redirect(path + search);
}

/** The crumb of an SAE's hook. */
export const hookCrumb = ({ model, hook }: SAE): Crumb => ({
  label: `${shortName(model)} · ${hook}`,
  to: homePath(model, hook),
});

/** The crumbs down to an SAE, for pages below it. */
export const crumbsTo = (sae: SAE): Crumb[] => [
  hookCrumb(sae),
  { label: sae.name, to: saePath(sae.name) },
];
