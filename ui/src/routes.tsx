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
    path: "/compare",
    lazy: async () => ({ Component: (await import("./pages/compare/ComparePage")).ComparePage }),
  },
  {
    path: "/search",
    lazy: async () => ({ Component: (await import("./pages/search/SearchPage")).SearchPage }),
  },
  {
    path: "/lists/:id?",
    lazy: async () => ({ Component: (await import("./pages/lists/ListsPage")).ListsPage }),
  },
  {
    path: "/graphs",
    lazy: async () => ({ Component: (await import("./pages/graphs/GraphsPage")).GraphsPage }),
  },
  {
    path: "/graphs/:name",
    lazy: async () => ({ Component: (await import("./pages/graphs/GraphPage")).GraphPage }),
  },
  {
    path: "/saes/:name",
    lazy: async () => ({ Component: (await import("./pages/browse/BrowsePage")).BrowsePage }),
  },
  {
    path: "/saes/:name/features/random",
    lazy: async () => ({ Component: (await import("./pages/feature/RandomPage")).RandomPage }),
  },
  {
    path: "/saes/:name/features/:index",
    lazy: async () => ({ Component: (await import("./pages/feature/FeaturePage")).FeaturePage }),
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
