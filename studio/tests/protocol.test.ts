import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { protocolTypes } from "../dev/types.mjs";

it("the types are those of the schema (npm run types)", async () => {
  expect(readFileSync("src/protocol.ts", "utf8")).toBe(await protocolTypes());
});
