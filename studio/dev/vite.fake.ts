import type { Server } from "node:http";
import react from "@vitejs/plugin-react";
import { type Connect, type Plugin, defineConfig } from "vite";
import { fakeServer } from "./fake.ts";

/** What the real server sends with the page; `vite preview` shows that the built page lives with it. */
const POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:",
  "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
].join("; ");

function fake(): Plugin {
  const serve = (middlewares: Connect.Server, server: Server) => {
    const fakes = fakeServer();
    middlewares.use((request, response, next) => void fakes.handle(request, response, next));
    fakes.attach(server);
  };
  return {
    name: "fake-server",
    configureServer: ({ middlewares, httpServer }) => serve(middlewares, httpServer as Server),
    configurePreviewServer: ({ middlewares, httpServer }) => serve(middlewares, httpServer as Server),
  };
}

export default defineConfig({
  plugins: [react(), fake()],
  define: { __RAW_FRAMES__: true },
  build: { outDir: "dist/fake", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  preview: { headers: { "Content-Security-Policy": POLICY } },
});
