import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";
import { sourcesBeside } from "./sources.mjs";

/** While developing the page, everything else is asked of a server that runs beside it. */
const SERVER = "http://127.0.0.1:8000";

/** The built page is a part of the Python package. */
const BUILT = "../src/shotstream/serving/web/static";

export default defineConfig({
  base: "./", // it may stand under any path of a proxy
  plugins: [react(), sourcesBeside(BUILT)],
  build: {
    outDir: BUILT,
    emptyOutDir: true,
    sourcemap: false,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // One name for good: the server's page that asks for the token has these styles, too.
    rolldownOptions: { output: { assetFileNames: "assets/page[extname]" } },
  },
  server: { proxy: { "/api": { target: SERVER, ws: true }, "/readyz": SERVER } },
  test: { include: ["tests/**/*.test.{ts,tsx}"] },
});
