/** Addresses of the viewer's pages. Names of SAEs hold nothing that needs escaping. */
import { redirect, type LoaderFunctionArgs } from "react-router";
import type { SAESummary } from "./api/client";
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
/** Steering a text; of a feature where one is given. */
export const steerText = (prompt: string, sae?: string, feature?: number) => {
  const edit = sae !== undefined && feature !== undefined ? { edit: `${sae}~${feature}~add` } : {};
  return `/steer#${new URLSearchParams({ ...(prompt && { prompt }), ...edit })}`;
};
export const compareSAEs = (names: readonly string[]) =>
  `/compare?${new URLSearchParams(names.map((name) => ["sae", name]))}`;
export const comparePath = (sae?: string) => (sae === undefined ? "/compare" : compareSAEs([sae]));
export const searchPath = (text: string, sae?: string) =>
  `/search?${new URLSearchParams(sae === undefined ? { q: text } : { q: text, sae })}`;

/** `/sae/NAME` and `/sae/NAME/feature/INDEX`, as these pages' addresses once were. */
export function redirectFormer({ request }: LoaderFunctionArgs) {
  const { pathname, search } = new URL(request.url);
  const path = pathname.replace(/^\/sae\//, "/saes/").replace("/feature/", "/features/");
  return redirect(path + search);
}

/** The crumb of an SAE's hook. */
export const hookCrumb = ({ model, hook }: Pick<SAESummary, "model" | "hook">): Crumb => ({
  label: `${shortName(model)} · ${hook}`,
  to: homePath(model, hook),
});

/** The crumbs down to an SAE, for pages below it. */
export const crumbsTo = (sae: SAESummary): Crumb[] => [
  hookCrumb(sae),
  { label: sae.name, to: saePath(sae.name) },
];
