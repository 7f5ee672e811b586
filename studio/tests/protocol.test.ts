import { readFileSync } from "node:fs";
import { compileFromFile } from "json-schema-to-typescript";
import { expect, it } from "vitest";

it("the types are those of the schema (npm run types)", async () => {
  expect(readFileSync("src/protocol.ts", "utf8")).toBe(
    await compileFromFile("protocol.schema.json", { maxItems: -1 }),
  );
});
