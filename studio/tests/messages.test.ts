/** Every sentence of the page stands in one place: what is said alike in two would soon be said differently. */

import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";

const files = readdirSync("src", { recursive: true, encoding: "utf8" })
  .filter((file) => /\.tsx?$/.test(file))
  .map((file) => join("src", file));

/** The texts of a file, with {…} for what is filled in. */
function* texts(file: string): Generator<string> {
  const kind = file.endsWith("x") ? ts.ScriptKind.TSX : ts.ScriptKind.TS;
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest, true, kind);
  const nodes: ts.Node[] = [source];
  for (let node = nodes.pop(); node; node = nodes.pop()) {
    if (ts.isJsxText(node) || ts.isStringLiteralLike(node)) yield node.text.replace(/\s+/g, " ").trim();
    else if (ts.isTemplateExpression(node))
      yield node.head.text + node.templateSpans.map((span) => `{…}${span.literal.text}`).join("");
    ts.forEachChild(node, (child) => void nodes.push(child));
  }
}

const places = new Map<string, string[]>();
for (const file of files)
  for (const text of texts(file))
    if (/^["“(]?[A-Z{].* .*[.!?]$/.test(text)) places.set(text, [...(places.get(text) ?? []), file]);

it("lists the page's sentences", () => {
  expect(places.size).toBeGreaterThan(40);
  expect([...places.keys()]).toContain("There is no such story here.");
});

it("says nothing in two places", () => {
  expect([...places].filter(([, where]) => where.length > 1)).toEqual([]);
});

it("writes sentences with one blank between words, and one sign at their end", () => {
  expect([...places.keys()].filter((text) => / {2}|[.!?]{2}$| [.!?,;:]/.test(text))).toEqual([]);
});
