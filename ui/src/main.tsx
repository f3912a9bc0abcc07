import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createBrowserRouter, RouterProvider } from "react-router";
import { ErrorPage } from "./components/ErrorPage";
import { Layout } from "./components/Layout";
import { DictionaryPage, loadDictionary } from "./pages/DictionaryPage";
import { FeaturePage, loadFeature, loadRandomFeature } from "./pages/FeaturePage";
import { HomePage, loadHome } from "./pages/HomePage";
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
          { path: "/sae/:name", loader: loadDictionary, element: <DictionaryPage /> },
          { path: "/sae/:name/feature/random", loader: loadRandomFeature, element: <div /> },
          { path: "/sae/:name/feature/:index", loader: loadFeature, element: <FeaturePage /> },
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
