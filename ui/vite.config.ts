import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  server: { host: "localhost", port: 24576, strictPort: true },
  build: {
    // Inside the server's package, so that an installed wheel carries the viewer.
    outDir: "../server/static",
    emptyOutDir: true,
    // Nothing is inlined as data: the page's content policy allows files of its own origin only.
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        codeSplitting: {
          // One file, and not one for each set of pages that shares a part: fewer bytes and requests
          // before the first feature.
          groups: [
            {
              name: "parts",
              test: /src\/(list\/|tokens|components\/(Explain|Label|Menu|Tokens))\b/,
              includeDependenciesRecursively: false,
            },
          ],
        },
      },
    },
  },
});
