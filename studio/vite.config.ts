import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

/** While developing the page, everything else is asked of a server that runs beside it. */
const SERVER = "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  define: { __RAW_FRAMES__: false },
  build: { assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": { target: SERVER, ws: true } } },
  test: { include: ["tests/**/*.test.{ts,tsx}"] },
});
