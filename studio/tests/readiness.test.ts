import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { readReadiness } from "../src/story/readiness";

let server: Server;
/** What the server answers; it says nothing without one. */
let status: number | undefined;

beforeEach(async () => {
  server = createServer((_, answer) => status && answer.writeHead(status).end());
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { fetch } = globalThis;
  vi.stubGlobal("fetch", (path: string, init?: RequestInit) => fetch(`${address}/${path}`, init));
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
  vi.unstubAllGlobals();
});

it.each([
  [200, "ready"],
  [503, "warming"],
  [502, "away"], // a proxy before a studio that is not there
  [undefined, "starting"],
])("a server that answers %s is %s", async (answers, readiness) => {
  status = answers;
  expect(await readReadiness(200)).toBe(readiness);
});

it("where nothing listens, the studio is away", async () => {
  await new Promise((done) => server.close(done));
  expect(await readReadiness(200)).toBe("away");
});
