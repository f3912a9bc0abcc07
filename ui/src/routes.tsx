/** Addresses and their pages. Each page is a file of its own, fetched when it is first opened. */
import type { RouteObject } from "react-router";
import { ErrorPage } from "./components/ErrorPage";
import { Layout } from "./components/Layout";
import { redirectFormer } from "./paths";

/** Pages below the bar. */
const pages: RouteObject[] = [
  {
    path: "/",
    lazy: async () => {
      const { HomePage } = await import("./pages/home/HomePage");
      return { Component: HomePage };
    },
  },
  {
    path: "/prompt",
    lazy: async () => {
      const { PromptPage } = await import("./pages/prompt/PromptPage");
      return { Component: PromptPage };
    },
  },
  {
    path: "/steer",
    lazy: async () => {
      const { SteerPage } = await import("./pages/steer/SteerPage");
      return { Component: SteerPage };
    },
  },
  {
    path: "/saes/:name",
    lazy: async () => {
      const { SAEPage, loadSAE } = await import("./pages/SAEPage");
      return { Component: SAEPage, loader: loadSAE };
    },
  },
  {
    path: "/saes/:name/features/random",
    lazy: async () => {
      const { loadRandomFeature } = await import("./pages/FeaturePage");
      return { loader: loadRandomFeature };
    },
  },
  {
    path: "/saes/:name/features/:index",
    lazy: async () => {
      const { FeaturePage, loadFeature } = await import("./pages/FeaturePage");
      return { Component: FeaturePage, loader: loadFeature };
    },
  },
];

export const routes: RouteObject[] = [
  {
    element: <Layout />,
    errorElement: <Layout error />,
    hydrateFallbackElement: <div />,
    children: [{ errorElement: <ErrorPage />, children: pages }],
  },
  { path: "/sae/:name/feature?/:index?", loader: redirectFormer },
];
