import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createBrowserRouter, RouterProvider } from "react-router";
import { ErrorPage } from "./components/ErrorPage";
import { Layout } from "./components/Layout";
import { FeaturePage, loadFeature, loadRandomFeature } from "./pages/FeaturePage";
import { HomePage, loadHome } from "./pages/HomePage";
import { SAEPage, loadSAE } from "./pages/SAEPage";
import { redirectFormer } from "./paths";
import "./style.css";

const router = createBrowserRouter([
  {
    element: <Layout />,
    errorElement: <Layout error />,
    hydrateFallbackElement: <div />,
    children: [
      {
        errorElement: <ErrorPage />,
        children: [
          { path: "/", loader: loadHome, element: <HomePage /> },
          { path: "/saes/:name", loader: loadSAE, element: <SAEPage /> },
          { path: "/saes/:name/features/random", loader: loadRandomFeature, element: <div /> },
          { path: "/saes/:name/features/:index", loader: loadFeature, element: <FeaturePage /> },
          { path: "/sae/:name/feature?/:index?", loader: redirectFormer, element: <div /> },
        ],
      },
    ],
  },
]);

const root = document.querySelector("#root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <RouterProvider router={router} />
    </StrictMode>,
  );
}
